#pragma once

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "ck_tile_masks/mask_def.hpp"

namespace ck_fmha {

// A mask that the caller holds as bytes: (i, j) is attended iff byte i * stride_q + j * stride_k is not zero. Read
// where it lies, by every walk that asks; a stride of 0 broadcasts.
struct AttendedTensor : ck_tile_masks::MaskDefABC<AttendedTensor> {
    using index_t = ck_tile_masks::index_t;
    using bits_t = ck_tile_masks::bits_t;

    const uint8_t* data;
    int64_t stride_q, stride_k;
    index_t seqlen_q, seqlen_k;

    AttendedTensor(const uint8_t* data_, int64_t stride_q_, int64_t stride_k_, index_t seqlen_q_, index_t seqlen_k_)
        : data(data_), stride_q(stride_q_), stride_k(stride_k_), seqlen_q(seqlen_q_), seqlen_k(seqlen_k_)
    {
    }

    static constexpr const char* get_name() { return "attended tensor"; }
    constexpr bool exact() const { return true; }
    bool mask_func(index_t i, index_t j) const { return data[i * stride_q + j * stride_k] != 0; }

    index_t next_live_col(index_t i0, index_t i1, index_t from) const { return first_col(i0, i1, from, true); }
    index_t next_not_full_col(index_t i0, index_t i1, index_t from) const { return first_col(i0, i1, from, false); }
    index_t next_live_row(index_t j0, index_t j1, index_t from) const { return first_row(j0, j1, from, true); }
    index_t next_not_full_row(index_t j0, index_t j1, index_t from) const { return first_row(j0, j1, from, false); }

    bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        bits_t bits = 0;
        index_t n = 0;
#if defined(__SSE2__)
        if (stride_k == 1)
            for (; n + 16 <= count; n += 16) {
                const auto* p = reinterpret_cast<const __m128i*>(data + i * stride_q + j0 + n);
                const int zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(p), _mm_setzero_si128()));
                bits |= static_cast<bits_t>(~zeros & 0xffff) << n;
            }
#endif
        if (stride_k == 1)
            for (; n + 8 <= count; n += 8)
                // Gathers the lowest bits of eight bytes in the highest byte.
                bits |= (ones(word_at(i, j0 + n)) * 0x0102040810204080u >> 56) << n;
        for (; n < count; ++n)
            bits |= static_cast<bits_t>(mask_func(i, j0 + n)) << n;
        return bits;
    }

    // Rows may lie a page apart: all of them are asked for before the first one is looked at.
    void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        for (index_t i = i0; i < i1; ++i) {
            const uint8_t* row = data + i * stride_q;
            __builtin_prefetch(row + j0 * stride_k);
            __builtin_prefetch(row + (j0 + count - 1) * stride_k);
        }
        for (index_t i = i0; i < i1; ++i)
            bits[i - i0] = row_bits(i, j0, count);
    }

private:
    index_t first_col(index_t i0, index_t i1, index_t from, bool attended) const
    {
        index_t first = seqlen_k; // only what lies before the best one so far is looked at
        for (index_t i = i0; i < (stride_q == 0 ? i0 + 1 : i1) && first > from; ++i)
            first = find(i, from, first, attended);
        return first < seqlen_k ? first : ck_tile_masks::kNone;
    }
    index_t first_row(index_t j0, index_t j1, index_t from, bool attended) const
    {
        for (index_t i = from; i < seqlen_q; ++i) {
            if (find(i, j0, j1, attended) < j1) return i;
            if (stride_q == 0) break;
        }
        return ck_tile_masks::kNone;
    }
    // First j in [j0, j1) where row i is (is not) attended, or j1.
    index_t find(index_t i, index_t j0, index_t j1, bool attended) const
    {
        if (stride_k == 0) return j0 < j1 && mask_func(i, j0) == attended ? j0 : j1;
        index_t j = j0;
        if (stride_k == 1) {
            const uint64_t wanted_none = attended ? 0 : 0x0101010101010101u;
            while (j + 8 <= j1 && ones(word_at(i, j)) == wanted_none)
                j += 8;
        }
        while (j < j1 && mask_func(i, j) != attended)
            ++j;
        return j;
    }
    uint64_t word_at(index_t i, index_t j) const
    {
        uint64_t word;
        std::memcpy(&word, data + i * stride_q + j, sizeof word);
        return word;
    }
    // 1 in each byte that is not zero.
    static uint64_t ones(uint64_t word)
    {
        constexpr uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;
        return ((((word & low7) + low7) | word) & ~low7) >> 7;
    }
};

} // namespace ck_fmha
