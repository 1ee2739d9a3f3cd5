#include "fmha/mask_definitions.hpp"

#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_fixed.hpp"
#include "ck_tile_masks/masks/deepspeed_longformer.hpp"
#include "ck_tile_masks/masks/deepspeed_variable.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/fixed.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/longformer_tokens.hpp"
#include "ck_tile_masks/masks/neighborhood.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "ck_tile_masks/masks/strided.hpp"
#include "fmha/mask_data_definitions.hpp"
#include "fmha/mask_nodes.hpp"

// Above each function: the parameters and data arrays it takes, in order.

namespace ck_fmha {

namespace ctm = ck_tile_masks;

namespace {

ctm::IndexSpan span(const IndexArray& array) { return {array->data(), static_cast<index_t>(array->size())}; }

ctm::Alignment alignment(MaskArguments& a) { return static_cast<ctm::Alignment>(a.param("alignment", 0, 1)); }

index_t odd(MaskArguments& a, const char* name)
{
    const index_t value = a.index(name, 1);
    if (value % 2 == 0) a.fail(std::string(name) + " must be odd, got " + std::to_string(value));
    return value;
}
index_t even(MaskArguments& a, const char* name)
{
    const index_t value = a.index(name, 0);
    if (value % 2 != 0) a.fail(std::string(name) + " must be even, got " + std::to_string(value));
    return value;
}
int64_t seed(MaskArguments& a) { return a.param("seed", INT64_MIN, INT64_MAX); }

Expr full(MaskArguments&) { return make_definition(ctm::Full{}); }

// left, right (-1 = unbounded), alignment (0 = top-left, 1 = bottom-right), num_sinks
Expr diagonal(MaskArguments& a)
{
    const index_t left = a.index("left", -1), right = a.index("right", -1);
    const ctm::Alignment align = alignment(a);
    return make_definition(ctm::Diagonal(left, right, align, a.index("num_sinks", 0)));
}

// prefix, alignment (0 = top-left, 1 = bottom-right)
Expr prefix_lm(MaskArguments& a)
{
    const index_t prefix = a.index("prefix", 0);
    return make_definition(ctm::PrefixLM(prefix, alignment(a)));
}

// window (even), num_global, dilation
Expr longformer(MaskArguments& a)
{
    const index_t window = even(a, "window"), num_global = a.index("num_global", 0);
    return make_definition(ctm::Longformer(window, num_global, a.index("dilation", 1)));
}

// window (even), dilation; data: global_tokens (ascending positions)
Expr longformer_tokens(MaskArguments& a)
{
    const index_t window = even(a, "window"), dilation = a.index("dilation", 1);
    const IndexArray tokens = a.ascending("global_tokens", 0, true, ctm::kIndexMax - 1);
    return make_definition(ctm::LongformerTokens(window, span(tokens), dilation), false, tokens);
}

// block_size, num_window_blocks (odd), num_global_blocks, num_random_blocks, seed
Expr big_bird(MaskArguments& a)
{
    const index_t block = a.index("block_size", 1), window = odd(a, "num_window_blocks");
    const index_t global = a.index("num_global_blocks", 0), random = a.index("num_random_blocks", 0);
    return make_definition(ctm::BigBird(block, window, global, random, seed(a)), random > 0);
}

// local, stride
Expr strided(MaskArguments& a)
{
    const index_t local = a.index("local", 1);
    return make_definition(ctm::Strided(local, a.index("stride", 1)));
}

// local, summary (at most local)
Expr fixed(MaskArguments& a)
{
    const index_t local = a.index("local", 1);
    return make_definition(ctm::Fixed(local, a.index("summary", 0, local)));
}

// num_dims (1..3), border (0 = shift, 1 = clip); for each dimension, the slowest first: size, window (odd), dilation,
// causal
Expr neighborhood(MaskArguments& a)
{
    const index_t num_dims = a.index("num_dims", 1, 3);
    const auto border = static_cast<ctm::Border>(a.param("border", 0, 1));
    ctm::NeighborhoodAxis axes[3];
    for (index_t n = 0; n < num_dims; ++n) {
        axes[n].size = a.index("size", 1);
        axes[n].window = odd(a, "window");
        axes[n].dilation = a.index("dilation", 1);
        axes[n].causal = a.flag("causal");
    }
    return make_definition(ctm::Neighborhood(num_dims, axes, border));
}

// block_size, num_local_blocks, num_global_blocks, num_global_patterns, unidirectional, horizontal_global
Expr deepspeed_fixed(MaskArguments& a)
{
    const index_t block = a.index("block_size", 1), local = a.index("num_local_blocks", 1);
    const index_t global = a.index("num_global_blocks", 1, local);
    const index_t patterns = a.index("num_global_patterns", 1, local / global);
    const bool unidirectional = a.flag("unidirectional");
    return make_definition(
        ctm::DeepSpeedFixed(block, local, global, patterns, unidirectional, a.flag("horizontal_global")), patterns > 1);
}

struct BlockIntervals {
    IndexArray begin, end;
};

// data: global_begin, global_end: intervals of blocks, both ends ascending: they may overlap, none lies inside another
BlockIntervals global_blocks(MaskArguments& a)
{
    BlockIntervals blocks;
    blocks.begin = a.ascending("global_begin", 0, true);
    blocks.end = a.ascending("global_end", 0, true);
    if (blocks.begin->size() != blocks.end->size())
        a.fail("global_begin and global_end must be equally long, got " + std::to_string(blocks.begin->size()) +
               " and " + std::to_string(blocks.end->size()));
    for (size_t n = 0; n < blocks.begin->size(); ++n)
        if ((*blocks.begin)[n] >= (*blocks.end)[n]) a.fail("global_begin must be below its global_end");
    return blocks;
}

// block_size, unidirectional, horizontal_global; data: local_window_blocks (sizes), global_begin, global_end
Expr deepspeed_variable(MaskArguments& a)
{
    struct Data {
        std::vector<index_t> window_ends;
        BlockIntervals global;
    };
    const index_t block = a.index("block_size", 1);
    const bool unidirectional = a.flag("unidirectional"), horizontal = a.flag("horizontal_global");
    const auto data = std::make_shared<Data>();
    int64_t end = 0;
    for (const index_t size : *a.data("local_window_blocks", 1)) {
        end += size;
        if (end > ctm::kIndexMax) a.fail("local_window_blocks must sum up to less than 2^31");
        data->window_ends.push_back(static_cast<index_t>(end));
    }
    if (data->window_ends.empty()) a.fail("local_window_blocks must not be empty");
    data->global = global_blocks(a);
    const ctm::IndexSpan ends{data->window_ends.data(), static_cast<index_t>(data->window_ends.size())};
    return make_definition(ctm::DeepSpeedVariable(block, ends, span(data->global.begin), span(data->global.end),
                                                  unidirectional, horizontal),
                           false, data);
}

// block_size, num_window_blocks, unidirectional; data: global_begin, global_end
Expr deepspeed_longformer(MaskArguments& a)
{
    const index_t block = a.index("block_size", 1), window = odd(a, "num_window_blocks");
    const bool unidirectional = a.flag("unidirectional");
    const auto data = std::make_shared<BlockIntervals>(global_blocks(a));
    return make_definition(ctm::DeepSpeedLongformer(block, window, span(data->begin), span(data->end), unidirectional),
                           false, data);
}

// block_size, num_window_blocks (odd), num_global_blocks, num_random_blocks, seed, unidirectional
Expr deepspeed_big_bird(MaskArguments& a)
{
    const index_t block = a.index("block_size", 1), window = odd(a, "num_window_blocks");
    const index_t global = a.index("num_global_blocks", 0), random = a.index("num_random_blocks", 0);
    const int64_t key = seed(a);
    return make_definition(ctm::DeepSpeedBigBird(block, window, global, random, key, a.flag("unidirectional")),
                           random > 0);
}

struct Entry {
    const char* name;
    Expr (*parse)(MaskArguments&);
};

constexpr Entry kDefinitions[] = {
    {"full", full},
    {"diagonal", diagonal},
    {"prefix_lm", prefix_lm},
    {"longformer", longformer},
    {"longformer_tokens", longformer_tokens},
    {"big_bird", big_bird},
    {"big_bird_table", parse_big_bird_table},
    {"strided", strided},
    {"fixed", fixed},
    {"documents", parse_documents},
    {"lengths", parse_lengths},
    {"neighborhood", neighborhood},
    {"block_list", parse_block_list},
    {"deepspeed_fixed", deepspeed_fixed},
    {"deepspeed_variable", deepspeed_variable},
    {"deepspeed_longformer", deepspeed_longformer},
    {"deepspeed_big_bird", deepspeed_big_bird},
    {"deepspeed_big_bird_table", parse_deepspeed_big_bird_table},
};

} // namespace

std::shared_ptr<const MaskExpr> parse_definition(const std::string& name, MaskArguments& arguments)
{
    for (const Entry& entry : kDefinitions)
        if (name == entry.name) return entry.parse(arguments);
    return nullptr;
}

} // namespace ck_fmha
