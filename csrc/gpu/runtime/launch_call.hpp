#pragma once

// What launches of the forward and of the backward have in common: a call's numbers as kernels take them, and refusals
// of those that they cannot take.

#include <algorithm>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/dropout.hpp"
#include "fmha/fmha_args.h"
#include "gpu/runtime/device_plan.hpp"

namespace ck_fmha::gpu {

constexpr int64_t kMaxStrideBytes = 1 << 25; // between rows: a tile's offsets fit a buffer descriptor
constexpr int64_t kMaxScoreStrideBytes = 1 << 24;

[[noreturn]] inline void refuse(const std::string& what) { throw std::invalid_argument("ck_fmha: " + what); }

inline gpu::Tensor to_tensor(const char* name, const ck_fmha_tensor& t, int64_t batch, int64_t heads, int64_t seqlen)
{
    // A stride that no element is reached by may be anything.
    const gpu::Tensor tensor{t.data, batch > 1 ? t.stride_batch : 0, heads > 1 ? t.stride_head : 0,
                             seqlen > 1 ? t.stride_seq : 0};
    const auto aligned = [](int64_t stride) { return stride % 8 == 0; };
    if (reinterpret_cast<uintptr_t>(t.data) % 16 != 0 || !aligned(tensor.stride_batch) ||
        !aligned(tensor.stride_head) || !aligned(tensor.stride_seq))
        refuse(std::string(name) + " must have rows aligned to 16 bytes");
    if (tensor.stride_seq < 0 || tensor.stride_seq * 2 >= kMaxStrideBytes)
        refuse(std::string(name) + " must have rows less than 2^25 bytes apart, got " +
               std::to_string(tensor.stride_seq * 2));
    return tensor;
}

// A number that may be past the largest float where what it comes from is not.
inline float to_float(double x)
{
    constexpr double most = std::numeric_limits<float>::max();
    return static_cast<float>(std::min(std::max(x, -most), most));
}

// softmax_scale * log2(e), which may be past the largest float where the scale is not.
inline float scale_log2(double softmax_scale)
{
    constexpr double log2_e = 1.4426950408889634;
    return to_float(softmax_scale * log2_e);
}

// @pre the problem is valid
inline void check_problem(const ck_fmha_problem& p, const gpu::FwdShape& shape)
{
    if (p.dtype != CK_FMHA_BFLOAT16 && p.dtype != CK_FMHA_FLOAT16)
        refuse("dtype must be CK_FMHA_BFLOAT16 or CK_FMHA_FLOAT16 on GPUs, got " + std::to_string(p.dtype));
    if (p.head_dim % 8 != 0 || p.head_dim_v % 8 != 0)
        refuse("head_dim and head_dim_v must be multiples of 8 on GPUs, got " + std::to_string(p.head_dim) + " and " +
               std::to_string(p.head_dim_v));
    if (p.batch != shape.batch || p.num_heads != shape.num_heads || p.seqlen_q != shape.seqlen_q ||
        p.seqlen_k != shape.seqlen_k || gpu::instance_head_dim(p.head_dim, p.head_dim_v) != shape.head_dim)
        refuse("the plan was made for another call");
}

template <class Args>
void set_sizes(Args& a, const ck_fmha_problem& p)
{
    a.num_heads = static_cast<index_t>(p.num_heads);
    a.heads_per_kv = static_cast<index_t>(p.num_heads / p.num_heads_kv);
    a.seqlen_q = static_cast<index_t>(p.seqlen_q);
    a.seqlen_k = static_cast<index_t>(p.seqlen_k);
    a.head_dim = static_cast<index_t>(p.head_dim);
    a.head_dim_v = static_cast<index_t>(p.head_dim_v);
}

// As to_tensor, for a tensor of the scores.
inline gpu::ScoresTensor to_scores(const char* name, const ck_fmha_scores& t, const ck_fmha_problem& p, int64_t size)
{
    const gpu::ScoresTensor scores{static_cast<char*>(t.tensor.data), p.batch > 1 ? t.tensor.stride_batch : 0,
                                   p.num_heads > 1 ? t.tensor.stride_head : 0, p.seqlen_q > 1 ? t.tensor.stride_seq : 0,
                                   p.seqlen_k > 1 ? t.stride_k : 0};
    if (scores.data != nullptr)
        for (const int64_t stride : {scores.stride_q, scores.stride_k})
            if (stride < 0 || stride * size >= kMaxScoreStrideBytes)
                refuse(std::string(name) + " must have rows and columns less than 2^24 bytes apart, got " +
                       std::to_string(stride * size));
    return scores;
}
inline int64_t size_of_bias(const ck_fmha_extras& e) { return e.bias_dtype == CK_FMHA_FLOAT32 ? 4 : 2; }

// @pre the problem is valid
inline gpu::ExtrasArgs extras_args(const ck_fmha_problem& p)
{
    const ck_fmha_extras& e = p.extras;
    const uint32_t threshold = cpu::dropout_threshold(e.dropout_p);
    gpu::ExtrasArgs a{};
    a.bias = to_scores("bias", e.bias, p, size_of_bias(e));
    a.attended = to_scores("attended", e.attended, p, 1);
    a.only_line = -1;
    a.alibi_slopes = e.alibi_slopes;
    a.alibi_stride_batch = e.alibi_stride_batch;
    a.factor = to_float(e.softcap != 0 ? p.softmax_scale / e.softcap : p.softmax_scale);
    a.softcap = static_cast<float>(e.softcap);
    a.threshold = threshold;
    a.keep_scale = threshold >= cpu::kDropoutSteps
                       ? 0.f
                       : static_cast<float>(double{cpu::kDropoutSteps} / (cpu::kDropoutSteps - threshold));
    a.seed[0] = static_cast<uint32_t>(e.dropout_seed);
    a.seed[1] = static_cast<uint32_t>(e.dropout_seed >> 32);
    return a;
}

// A work-group: its threads, and what of shared memory the launch gives.
struct GroupSize {
    index_t threads;
    index_t shared_bytes = 0;
};

// Launches `per_item` work-groups for each item, in pieces where all of them are more than the driver takes at once;
// advance(n) makes the arguments begin n items later.
template <class Args, class Advance>
void launch_items(const Driver& driver, Function function, const GroupSize& size, Args& args, size_t num_items,
                  index_t per_item, Stream stream, const std::vector<Extent>& extents, const Advance& advance)
{
    const uint64_t most = (uint64_t{1} << 32) / size.threads / per_item;
    if (most <= 1) refuse("batch * num_heads is more than a launch takes: split the call");
    for (size_t begin = 0; begin < num_items; begin += most - 1) {
        const size_t items = std::min<size_t>(most - 1, num_items - begin);
        driver.launch(function,
                      {static_cast<unsigned>(items * per_item), static_cast<unsigned>(size.threads),
                       static_cast<unsigned>(size.shared_bytes)},
                      stream, &args, extents);
        advance(items);
    }
}

// The same for work items of a plan: a work-group for each (batch, head) that one serves.
template <class Args>
void launch_work(const Driver& driver, Function function, const GroupSize& size, Args args, size_t num_items,
                 Stream stream, const std::vector<Extent>& extents)
{
    launch_items(driver, function, size, args, num_items, args.num_shared, stream, extents, [&](size_t items) {
        args.work += items;
        args.tiles += items * static_cast<size_t>(args.num_stored);
    });
}

// Launches the kernel that finds the live tiles of work items: one work-group an item.
template <class Args>
void find_tiles(const Driver& driver, Function function, const GroupSize& size, Args args, size_t num_items,
                Stream stream, const std::vector<Extent>& extents)
{
    args.num_shared = 1;
    launch_work(driver, function, size, args, num_items, stream, extents);
}

// use(arguments, number of items) for the work items of a group, those at a time whose lists of tiles there is room
// for.
template <class Args, class Use>
void for_each_part(const FwdGroup& group, Args args, const Use& use)
{
    for (size_t begin = 0; begin < group.work.size(); begin += group.items_at_once) {
        use(args, std::min(group.items_at_once, group.work.size() - begin));
        args.work += group.items_at_once;
    }
}

// Keeps what a captured graph refers to.
template <class Kept>
void keep_for_good(const Kept& kept)
{
    static std::mutex& mutex = *new std::mutex;
    static auto& all = *new std::vector<Kept>;
    const std::lock_guard<std::mutex> lock(mutex);
    if (std::find(all.begin(), all.end(), kept) == all.end()) all.push_back(kept);
}

} // namespace ck_fmha::gpu
