#pragma once

// The tile functions of tile_kernels.hpp for the instruction set CK_FMHA_ISA. Included by isa/*.cpp only.

#include "cpu/product.hpp"
#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

static constexpr float kInfinity = __builtin_inff();

static inline int round_to_lanes(int n) { return (n + kLanes - 1) / kLanes * kLanes; }
static inline uint32_t lane_bits(uint64_t bits, int lane) { return static_cast<uint32_t>(bits >> lane); }

static void load_rows_f32(const float* src, ptrdiff_t ld_src, int rows, int cols, float* dst, int ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst) {
        std::memcpy(dst, src, sizeof(float) * cols);
        std::memset(dst + cols, 0, sizeof(float) * (ld_dst - cols));
    }
}

static void load_rows_bf16(const uint16_t* src, ptrdiff_t ld_src, int rows, int cols, float* dst, int ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst) {
        for (int c = 0; c < cols; ++c) {
            const uint32_t bits = static_cast<uint32_t>(src[c]) << 16;
            std::memcpy(dst + c, &bits, sizeof bits);
        }
        std::memset(dst + cols, 0, sizeof(float) * (ld_dst - cols));
    }
}

static void store_rows_f32(const float* src, int ld_src, int rows, int cols, float* dst, ptrdiff_t ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        std::memcpy(dst, src, sizeof(float) * cols);
}

static void store_rows_bf16(const float* src, int ld_src, int rows, int cols, uint16_t* dst, ptrdiff_t ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = 0; c < cols; ++c) {
            uint32_t bits;
            std::memcpy(&bits, src + c, sizeof bits);
            const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
            const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
            dst[c] = static_cast<uint16_t>(is_nan ? 0x7fc0 : rounded);
        }
}

// Four rows of four at a time, in registers.
static inline void transpose_4x4(const float* src, ptrdiff_t ld_src, float* dst, ptrdiff_t ld_dst)
{
    using f4 = float __attribute__((vector_size(16)));
    f4 r[4];
    for (int n = 0; n < 4; ++n)
        std::memcpy(&r[n], src + n * ld_src, sizeof(f4));
#if defined(__clang__)
#define CK_FMHA_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
    using i4 = int32_t __attribute__((vector_size(16)));
#define CK_FMHA_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, i4{i, j, k, l})
#endif
    const f4 lo01 = CK_FMHA_SHUFFLE(r[0], r[1], 0, 4, 1, 5), hi01 = CK_FMHA_SHUFFLE(r[0], r[1], 2, 6, 3, 7);
    const f4 lo23 = CK_FMHA_SHUFFLE(r[2], r[3], 0, 4, 1, 5), hi23 = CK_FMHA_SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    const f4 out[4] = {CK_FMHA_SHUFFLE(lo01, lo23, 0, 1, 4, 5), CK_FMHA_SHUFFLE(lo01, lo23, 2, 3, 6, 7),
                       CK_FMHA_SHUFFLE(hi01, hi23, 0, 1, 4, 5), CK_FMHA_SHUFFLE(hi01, hi23, 2, 3, 6, 7)};
#undef CK_FMHA_SHUFFLE
    for (int n = 0; n < 4; ++n)
        std::memcpy(dst + n * ld_dst, &out[n], sizeof(f4));
}

// dst (cols, rows) = src (rows, cols) transposed
static void transpose_tile(const float* src, ptrdiff_t ld_src, int rows, int cols, float* dst, ptrdiff_t ld_dst)
{
    const int rows4 = rows / 4 * 4, cols4 = cols / 4 * 4;
    for (int c = 0; c < cols4; c += 4)
        for (int r = 0; r < rows4; r += 4)
            transpose_4x4(src + r * ld_src + c, ld_src, dst + c * ld_dst + r, ld_dst);
    for (int c = 0; c < cols; ++c)
        for (int r = c < cols4 ? rows4 : 0; r < rows; ++r)
            dst[c * ld_dst + r] = src[r * ld_src + c];
}

static void transpose(const float* src, ptrdiff_t ld_src, int rows, int cols, float* dst)
{
    transpose_tile(src, ld_src, rows, cols, dst, 64);
    for (int c = 0; c < cols; ++c)
        std::memset(dst + c * 64 + rows, 0, sizeof(float) * (64 - rows));
}

// Row maxima of S, with unattended elements set to -inf: S^T has one query a lane.
static vfloat mask_and_max(const FwdTile& t, int lane, vfloat m)
{
    for (int k = 0; k < t.num_k; ++k) {
        float* s_ptr = t.s_t + k * kTileQ + lane;
        vfloat s = load(s_ptr);
        if (t.key_bits) {
            s = select_bits(lane_bits(t.key_bits[k], lane), s, splat(-kInfinity));
            store(s_ptr, s);
        }
        m = max_or_second(s, m);
    }
    return m;
}

// P = exp(S - m) in place of S; returns the sums over keys.
static vfloat exponentiate(const FwdTile& t, int lane, vfloat m)
{
    vfloat sum = vfloat{};
    for (int k = 0; k < t.num_k; ++k) {
        float* s_ptr = t.s_t + k * kTileQ + lane;
        const vfloat p = exp(load(s_ptr) - m);
        store(s_ptr, p);
        sum += p;
    }
    return sum;
}

static void fwd_tile(const FwdTile& t)
{
    const int num_q = round_to_lanes(t.num_q);
    alignas(64) float alpha[kTileQ];
    bool rescale = false;

    // S^T = scale K Q^T
    product<ALayout::rows, Init::zero>(t.num_k, num_q,
                                       {t.k, t.ld_k, t.q_t, kTileQ, t.s_t, kTileQ, t.head_dim, t.softmax_scale});
    for (int lane = 0; lane < num_q; lane += kLanes) {
        const vfloat m_old = t.first ? splat(-kInfinity) : load(t.state.m + lane);
        const vfloat l_old = t.first ? vfloat{} : load(t.state.l + lane);
        const vfloat m = mask_and_max(t, lane, m_old);
        // A row without any attended key so far keeps m = -inf; 0 stands in for it, so that exp gives 0, not NaN.
        const vfloat m_finite = m == splat(-kInfinity) ? vfloat{} : m;
        const vfloat a = exp(m_old - m_finite);
        store(t.state.m + lane, m);
        store(t.state.l + lane, a * l_old + exponentiate(t, lane, m_finite));
        store(alpha + lane, a);
        rescale = rescale || !all_equal(a, splat(1.0f));
    }
    // O^T = alpha O^T + V^T P^T
    const Product o{t.v, t.ld_v, t.s_t, kTileQ, t.state.o_t, kTileQ, t.num_k, 1.0f, alpha};
    if (t.first)
        product<ALayout::cols, Init::zero>(t.head_dim_v, num_q, o);
    else if (rescale)
        product<ALayout::cols, Init::rescale>(t.head_dim_v, num_q, o);
    else
        product<ALayout::cols, Init::add>(t.head_dim_v, num_q, o);
}

static void fwd_merge(const FwdState& into, const FwdState& from, int head_dim_v)
{
    for (int lane = 0; lane < kTileQ; lane += kLanes) {
        const vfloat m_a = load(into.m + lane), m_b = load(from.m + lane);
        const vfloat m = max_or_second(m_a, m_b);
        const vfloat m_finite = m == splat(-kInfinity) ? vfloat{} : m;
        const vfloat a = exp(m_a - m_finite), b = exp(m_b - m_finite);
        store(into.m + lane, m);
        store(into.l + lane, a * load(into.l + lane) + b * load(from.l + lane));
        for (int d = 0; d < head_dim_v; ++d) {
            float* o = into.o_t + d * kTileQ + lane;
            store(o, a * load(o) + b * load(from.o_t + d * kTileQ + lane));
        }
    }
}

static void fwd_finish(const FwdState& s, int num_q, int head_dim_v, float* o, ptrdiff_t ld_o, float* lse)
{
    for (int lane = 0; lane < round_to_lanes(num_q); lane += kLanes) {
        const vfloat l = load(s.l + lane);
        const vfloat inverse = 1.0f / l;
        for (int d = 0; d < head_dim_v; ++d) {
            float* o_t = s.o_t + d * kTileQ + lane;
            // Chosen, not multiplied by zero: O^T of an empty row is NaN where V is infinite.
            store(o_t, l == vfloat{} ? vfloat{} : load(o_t) * inverse);
        }
    }
    transpose_tile(s.o_t, kTileQ, head_dim_v, num_q, o, ld_o);
    for (int q = 0; q < num_q; ++q)
        lse[q] = s.l[q] == 0 ? -kInfinity : s.m[q] + __builtin_logf(s.l[q]);
}

static void bwd_delta(const float* d_o, ptrdiff_t ld_do, const float* o, ptrdiff_t ld_o, const float* d_lse, int rows,
                      int head_dim_v, float* delta)
{
    for (int r = 0; r < rows; ++r) {
        vfloat sums = vfloat{};
        for (int d = 0; d < head_dim_v; d += kLanes)
            sums += load(d_o + r * ld_do + d) * load(o + r * ld_o + d);
        float sum = 0;
        for (int lane = 0; lane < kLanes; ++lane)
            sum += sums[lane];
        delta[r] = sum - (d_lse ? d_lse[r] : 0.0f);
    }
}

static void bwd_tile(const BwdTile& t)
{
    const int num_k = round_to_lanes(t.num_k);
    // S = scale Q K^T, dP = dO V^T
    product<ALayout::rows, Init::zero>(t.num_q, num_k,
                                       {t.q, t.ld_q, t.k_t, kTileK, t.p, kTileK, t.head_dim, t.softmax_scale});
    product<ALayout::rows, Init::zero>(t.num_q, num_k, {t.d_o, t.ld_do, t.v_t, kTileK, t.ds, kTileK, t.head_dim_v});
    // P = exp(S - lse), dS = scale P (dP - delta); nothing reads the columns past num_k.
    for (int q = 0; q < t.num_q; ++q) {
        const vfloat lse = splat(t.lse[q]), delta = splat(t.delta[q]);
        for (int lane = 0; lane < num_k; lane += kLanes) {
            float* p_ptr = t.p + q * kTileK + lane;
            float* ds_ptr = t.ds + q * kTileK + lane;
            vfloat p = exp(load(p_ptr) - lse);
            vfloat ds = p * (load(ds_ptr) - delta) * t.softmax_scale;
            if (t.query_bits) {
                const uint32_t bits = lane_bits(t.query_bits[q], lane);
                p = select_bits(bits, p, vfloat{});
                ds = select_bits(bits, ds, vfloat{});
            }
            store(p_ptr, p);
            store(ds_ptr, ds);
        }
    }
    // dV += P^T dO, dK += dS^T Q, dQ = dS K
    const int d = round_to_lanes(t.head_dim), dv = round_to_lanes(t.head_dim_v);
    const int ld = padded_head_dim(t.head_dim), ld_dv = padded_head_dim(t.head_dim_v);
    if (t.dv) product<ALayout::cols, Init::add>(t.num_k, dv, {t.p, kTileK, t.d_o, t.ld_do, t.dv, ld_dv, t.num_q});
    if (t.dk) product<ALayout::cols, Init::add>(t.num_k, d, {t.ds, kTileK, t.q, t.ld_q, t.dk, ld, t.num_q});
    if (t.dq) product<ALayout::rows, Init::zero>(t.num_q, d, {t.ds, kTileK, t.k, t.ld_k, t.dq, ld, t.num_k});
}

static void add_rows(const float* src, int ld_src, int rows, int cols, float* dst, ptrdiff_t ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = 0; c < cols; ++c)
            dst[c] += src[c];
}

static constexpr TileKernels make_tile_kernels(const char* name)
{
    return {name,     load_rows_f32, load_rows_bf16, store_rows_f32, store_rows_bf16, transpose,
            fwd_tile, fwd_merge,     fwd_finish,     bwd_delta,      bwd_tile,        add_rows};
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
