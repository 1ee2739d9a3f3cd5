#pragma once

// Vectors of Float16Pair, and rows of numbers that become such. Included by isa/avx512_amx*.cpp
// only, by way of product_amx.hpp.

#include <type_traits>

#include "cpu/rows_impl.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

// A part of the group at p.
template <class Pair>
static inline auto* part_of(Pair* p, int part)
{
    using Part = std::conditional_t<std::is_const_v<Pair>, const Bf16Pair, Bf16Pair>;
    return reinterpret_cast<Part*>(p) + part * kSplitGroup;
}
// dst (cols, rows) = src (rows, cols) transposed
template <class Pair>
static void transpose_pairs(const Pair* src, ptrdiff_t ld_src, int rows, int cols, Pair* dst, ptrdiff_t ld_dst)
{
    if constexpr (kParts<Pair> == 1) return transpose_tile(src, ld_src, rows, cols, dst, ld_dst);
    for (int r = 0; r < rows; r += kSplitGroup)
        for (int c = 0; c < cols; c += kSplitGroup)
            for (int part = 0; part < kParts<Pair>; ++part)
                transpose_tile(part_of(src + r * ld_src + c, part), kParts<Pair> * ld_src,
                               rows - r < kSplitGroup ? rows - r : kSplitGroup,
                               cols - c < kSplitGroup ? cols - c : kSplitGroup, part_of(dst + c * ld_dst + r, part),
                               kParts<Pair> * ld_dst);
}

// dst (cols, 64) = src^T, columns past `rows` zero.
static void transpose_split(const Float16Pair* src, ptrdiff_t ld_src, int rows, int cols, Float16Pair* dst)
{
    if (rows < 64) std::memset(dst, 0, sizeof(Float16Pair) * 64 * cols);
    transpose_pairs(src, ld_src, rows, cols, dst, 64);
}

inline constexpr uint32_t kUpperHalf = 0xffff0000u; // of a float: what bfloat16 keeps

// The largest part of every number, rounded to nearest; ties away from zero.
static inline vuint largest_part(vfloat x) { return (reinterpret_cast<vuint>(x) + 0x8000u) & kUpperHalf; }

// Lane n: the pair (x[0][n], x[1][n]).
static inline vec<Float16Pair> pack(Float16Pair, const vfloat (&x)[2])
{
    vec<Float16Pair> out;
    vfloat first = x[0], second = x[1];
#pragma GCC unroll 2
    for (vuint& pairs : out.parts) {
        const vuint of_first = largest_part(first), of_second = largest_part(second);
        pairs = of_first >> 16 | of_second;
        first -= reinterpret_cast<vfloat>(of_first); // exact
        second -= reinterpret_cast<vfloat>(of_second);
    }
    return out;
}

// Lanes from `lane` on of a row, half a group: neighbours in x as pairs.
static inline void store_neighbours(Float16Pair* row, int lane, vfloat x)
{
    Float16Pair* group = row + lane / 2 / kSplitGroup * kSplitGroup;
    for (int part = 0; part < 2; ++part) {
        const vuint largest = largest_part(x);
        const __m256i numbers = _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(largest >> 16));
        std::memcpy(part_of(group, part) + lane / 2 % kSplitGroup, &numbers, sizeof numbers);
        x -= reinterpret_cast<vfloat>(largest);
    }
}

// Up to 16 numbers of a row, `left` of which exist; the rest is zero.
static inline vfloat load_numbers(const Float16* p, int left)
{
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << (left > 0 ? left : 0)) - 1);
    return _mm512_maskz_cvtph_ps(0xffff, _mm256_maskz_loadu_epi16(mask, p));
}

// dst (rows, packed cols) = src, pairs of neighbours in a row, rows filled up to `ld_dst` with zeros.
static void load_split(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Float16Pair* dst, int ld_dst)
{
    const auto* src = static_cast<const Float16*>(src_rows);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = 0; c < ld_dst; c += kSplitGroup) {
            const vfloat low = load_numbers(src + 2 * c, cols - 2 * c);
            const vfloat high = load_numbers(src + 2 * c + kSplitGroup, cols - 2 * c - kSplitGroup);
            const vfloat x[] = {_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high)};
            store(dst + c, pack(Float16Pair{}, x));
        }
}

// 16 pairs of neighbours in a column: of rows src and src + ld_src, of which the second may not exist.
static inline vec<Float16Pair> pair_numbers(const Float16* src, ptrdiff_t ld_src, bool has_second, int left)
{
    const vfloat x[] = {load_numbers(src, left), has_second ? load_numbers(src + ld_src, left) : vfloat{}};
    return pack(Float16Pair{}, x);
}

// dst (packed rows, cols) = src, pairs of neighbours in a column, rows filled up to `ld_dst` with zeros.
static void pair_split_rows(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Float16Pair* dst, int ld_dst)
{
    const auto* src = static_cast<const Float16*>(src_rows);
    for (int r = 0; r < rows; r += 2, src += 2 * ld_src, dst += ld_dst)
        for (int c = 0; c < ld_dst; c += kSplitGroup)
            store(dst + c, pair_numbers(src + c, ld_src, r + 1 < rows, cols - c));
}

// dst (cols, packed 64): the same of at most 64 rows, transposed, sixteen columns and 32 rows at a time.
static void pair_split_rows_transposed(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Float16Pair* dst)
{
    constexpr int kLd = packed<Float16Pair>(kTileK);
    const auto* src = static_cast<const Float16*>(src_rows);
    for (int c = 0; c < cols; c += kSplitGroup)
        for (int r = 0; r < rows; r += 2 * kSplitGroup) {
            alignas(64) Float16Pair pairs[kSplitGroup][kSplitGroup]; // of rows (r, r + 1), (r + 2, r + 3), ...
            const int num_pairs =
                packed<Float16Pair>(rows - r) < kSplitGroup ? packed<Float16Pair>(rows - r) : kSplitGroup;
            for (int n = 0; n < num_pairs; ++n)
                store(pairs[n], pair_numbers(src + (r + 2 * n) * ld_src + c, ld_src, r + 2 * n + 1 < rows, cols - c));
            const int num_cols = cols - c < kSplitGroup ? cols - c : kSplitGroup;
            transpose_pairs(pairs[0], kSplitGroup, num_pairs, num_cols, dst + c * kLd + r / 2, kLd);
        }
}

static bool can_split(const void* src_rows, ptrdiff_t ld_src, int rows, int cols)
{
    const auto* src = static_cast<const Float16*>(src_rows);
    vint others{}; // not 0: a number in this lane is none of those that can be split
    for (int r = 0; r < rows; ++r, src += ld_src)
        for (int c = 0; c < cols; c += kLanes<float>) {
            const vfloat x = load_numbers(src + c, cols - c);
            others |= x - x != 0; // infinities and NaN
        }
    return all_equal(others, vint{});
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
