#pragma once

#include <string>
#include <vector>

#include "byte_reader.hpp"
#include "fmha/mask_expr.hpp"

namespace mask_fuzz {

using ck_fmha::index_t;
using ck_tile_masks::MaskCall;

// A mask as build_mask takes it.
struct MaskText {
    std::string structure;
    std::vector<int64_t> params;
    std::vector<std::vector<index_t>> data;

    std::shared_ptr<const ck_fmha::MaskExpr> build() const;
};
std::string to_string(const MaskText& mask);

// A call with the counts that per_head, per_sample and data of one entry a head or sample must fit.
struct Call {
    MaskCall call;
    index_t batch = 1;
    index_t num_heads = 1;
};
std::string to_string(const Call& call);

// What is claimed of a mask: which of its answers are never early.
struct Claim {
    bool live_exact = true;
    bool full_exact = true;
};

struct WrittenMask {
    MaskText text;
    Claim claim;
};

// A mask that build_mask must accept and that must bind to the call. Depth 0: a definition alone.
WrittenMask write_mask(ByteReader& bytes, const Call& call, int max_depth = 3);

// Any words of the grammar, with any numbers and arrays.
MaskText write_word_salad(ByteReader& bytes);

// Spoils a mask at a few places. If it is still one, its claim holds.
void corrupt(WrittenMask& mask, ByteReader& bytes);

} // namespace mask_fuzz
