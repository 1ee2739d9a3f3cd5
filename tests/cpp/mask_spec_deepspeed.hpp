#pragma once

// Specs of DeepSpeed's block layouts.

#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_fixed.hpp"
#include "ck_tile_masks/masks/deepspeed_longformer.hpp"
#include "ck_tile_masks/masks/deepspeed_variable.hpp"
#include "mask_oracle_deepspeed.hpp"
#include "mask_spec_data.hpp"

namespace mask_tests {

inline const char* direction(bool unidirectional) { return unidirectional ? ", unidirectional" : ", bidirectional"; }

inline Spec<ck_tile_masks::DeepSpeedFixed> deepspeed_fixed(const DeepSpeedFixedParameters& p)
{
    return {ck_tile_masks::DeepSpeedFixed(p.block, p.local, p.global, p.patterns, p.unidirectional, p.horizontal),
            {text("deepspeed_fixed(block ", p.block, ", local ", p.local, ", global ", p.global, ", patterns ",
                  p.patterns, direction(p.unidirectional), p.horizontal ? ", horizontal)" : ")"),
             deepspeed_fixed_oracle(p)}};
}

// The numbers that a layout with lists points to.
struct DeepSpeedLists {
    Numbers window_ends, global_begin, global_end;

    DeepSpeedLists(const Numbers& window_sizes, const std::vector<BlockRange>& global)
    {
        for (const index_t size : window_sizes)
            window_ends.push_back(size + (window_ends.empty() ? 0 : window_ends.back()));
        for (const BlockRange& range : global) {
            global_begin.push_back(range.begin);
            global_end.push_back(range.end);
        }
    }
    std::string global_text() const { return text(list_of(global_begin), " .. ", list_of(global_end)); }
};

inline Spec<ck_tile_masks::DeepSpeedVariable> deepspeed_variable(const DeepSpeedVariableParameters& p)
{
    const auto data = std::make_shared<DeepSpeedLists>(p.window_sizes, p.global);
    return {{p.block, span(data->window_ends), span(data->global_begin), span(data->global_end), p.unidirectional,
             p.horizontal},
            {text("deepspeed_variable(block ", p.block, ", windows ", list_of(p.window_sizes), ", global ",
                  data->global_text(), direction(p.unidirectional), p.horizontal ? ", horizontal)" : ")"),
             deepspeed_variable_oracle(p)},
            data};
}

inline Spec<ck_tile_masks::DeepSpeedLongformer>
deepspeed_longformer(index_t block, index_t window, const std::vector<BlockRange>& global, bool unidirectional = false)
{
    const auto data = std::make_shared<DeepSpeedLists>(Numbers{}, global);
    return {{block, window, span(data->global_begin), span(data->global_end), unidirectional},
            {text("deepspeed_longformer(block ", block, ", window ", window, ", global ", data->global_text(),
                  direction(unidirectional), ")"),
             deepspeed_longformer_oracle(block, window, global, unidirectional)},
            data};
}

inline Spec<ck_tile_masks::DeepSpeedBigBird> deepspeed_big_bird(const BigBirdParameters& p, bool unidirectional = false)
{
    return {{p.block, p.window, p.num_global, p.num_random, p.seed, unidirectional},
            {text("deepspeed_big_bird(block ", p.block, ", window ", p.window, ", global ", p.num_global, ", random ",
                  p.num_random, ", seed ", p.seed, direction(unidirectional), ")"),
             deepspeed_big_bird_oracle(p, unidirectional)}};
}

inline Spec<ck_tile_masks::DeepSpeedBigBirdTable> deepspeed_big_bird_table(index_t block, index_t window,
                                                                           index_t num_global,
                                                                           const BlockMatrix& random,
                                                                           bool unidirectional = false)
{
    const auto data = std::make_shared<BlockLists>(random);
    return {{block, window, num_global, data->table(), unidirectional},
            {text("deepspeed_big_bird_table(block ", block, ", window ", window, ", global ", num_global, ", random ",
                  shape_of(random), direction(unidirectional), ")"),
             deepspeed_big_bird_table_oracle(block, window, num_global, random, unidirectional)},
            data};
}

} // namespace mask_tests
