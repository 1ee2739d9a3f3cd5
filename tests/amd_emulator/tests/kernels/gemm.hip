// C (m x n, float) = A (m x k) times the transpose of B (n x k): tiles of 64 x 64 x 64 through LDS, four waves. All sizes are multiples
// of 64. With FAULT_... defined one thing is wrong; the tests look whether it is found.
#include "mini_hip.hpp"

typedef float float4v __attribute__((ext_vector_type(4)));
typedef float float16v __attribute__((ext_vector_type(16)));
typedef _Float16 half4v __attribute__((ext_vector_type(4)));
typedef short short4v __attribute__((ext_vector_type(4)));
typedef short short8v __attribute__((ext_vector_type(8)));

constexpr int kTile = 64;
constexpr int kRow = kTile + 8; // padded, so that rows of LDS begin in different banks
constexpr int kChunk = 8;       // elements that a thread moves at a time

// Products of 32 x 32 x 8: lane l holds row (column) l % 32 and k = 4 (l / 32) + 0..3; of C column l % 32 and rows 8 j + 4 (l / 32) + 0..3.
struct Half32 {
    using Accumulator = float16v;
    static constexpr int size = 32, depth = 8, registers = 16;
    static __device__ __forceinline__ int row(int lane, int i) { return 8 * (i / 4) + 4 * (lane / 32) + i % 4; }
    static __device__ __forceinline__ int first_k(int lane) { return 4 * (lane / 32); }
    static __device__ __forceinline__ Accumulator multiply(short4v a, short4v b, Accumulator c)
    {
        return __builtin_amdgcn_mfma_f32_32x32x8f16(__builtin_bit_cast(half4v, a), __builtin_bit_cast(half4v, b), c, 0, 0, 0);
    }
};
// Products of 16 x 16 x 16: the same with 16 and four groups of lanes.
struct Bfloat16 {
    using Accumulator = float4v;
    static constexpr int size = 16, depth = 16, registers = 4;
    static __device__ __forceinline__ int row(int lane, int i) { return 4 * (lane / 16) + i; }
    static __device__ __forceinline__ int first_k(int lane) { return 4 * (lane / 16); }
    static __device__ __forceinline__ Accumulator multiply(short4v a, short4v b, Accumulator c)
    {
        return __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, c, 0, 0, 0);
    }
};

template <class Product>
__device__ __forceinline__ void multiply(const short* a, const short* b, float* c, int n, int k)
{
    __shared__ __attribute__((aligned(16))) short tile_a[kTile * kRow];
    __shared__ __attribute__((aligned(16))) short tile_b[kTile * kRow];
    constexpr int tiles = kTile / Product::size;        // along each side
    constexpr int tiles_of_wave = tiles * tiles / 4;
    const int thread = threadIdx.x;
    const int lane = thread % 64;
    const int wave = thread / 64;
    const int first_row = blockIdx.y * kTile;
    const int first_column = blockIdx.x * kTile;
#ifdef FAULT_OUT_OF_BOUNDS
    const int beyond = 1;
#else
    const int beyond = 0;
#endif
    typename Product::Accumulator sums[tiles_of_wave] = {};
    for (int k0 = 0; k0 < k; k0 += kTile) {
#pragma unroll
        for (int i = thread; i < kTile * kTile / kChunk; i += 256) {
            const int row = i / (kTile / kChunk);
            const int column = i % (kTile / kChunk) * kChunk;
#ifdef FAULT_UNINITIALISED_LDS
            if (row == kTile - 1) { continue; }
#endif
            *reinterpret_cast<short8v*>(&tile_a[row * kRow + column]) =
                *reinterpret_cast<const short8v*>(&a[static_cast<long>(first_row + row + beyond) * k + k0 + column]);
            *reinterpret_cast<short8v*>(&tile_b[row * kRow + column]) =
                *reinterpret_cast<const short8v*>(&b[static_cast<long>(first_column + row) * k + k0 + column]);
        }
        __syncthreads();
#pragma unroll
        for (int kk = 0; kk < kTile; kk += Product::depth) {
#pragma unroll
            for (int t = 0; t < tiles_of_wave; ++t) {
                const int tile = wave * tiles_of_wave + t;
                const int in_tile = lane % Product::size;
                const int row = tile / tiles * Product::size + in_tile;
                const int column = tile % tiles * Product::size + in_tile;
                const auto fragment_a = *reinterpret_cast<const short4v*>(&tile_a[row * kRow + kk + Product::first_k(lane)]);
                const auto fragment_b = *reinterpret_cast<const short4v*>(&tile_b[column * kRow + kk + Product::first_k(lane)]);
                sums[t] = Product::multiply(fragment_a, fragment_b, sums[t]);
            }
        }
#ifndef FAULT_NO_BARRIER
        __syncthreads();
#endif
    }
#pragma unroll
    for (int t = 0; t < tiles_of_wave; ++t) {
        const int tile = wave * tiles_of_wave + t;
#pragma unroll
        for (int i = 0; i < Product::registers; ++i) {
#ifdef FAULT_WRONG_LANE_MAP
            const int in_tile = Product::row(lane ^ 32, i);
#else
            const int in_tile = Product::row(lane, i);
#endif
            const int row = first_row + tile / tiles * Product::size + in_tile;
            const int column = first_column + tile % tiles * Product::size + lane % Product::size;
            c[static_cast<long>(row) * n + column] = sums[t][i];
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) gemm_half(const short* a, const short* b, float* c, int n, int k)
{
    multiply<Half32>(a, b, c, n, k);
}
extern "C" __global__ void __launch_bounds__(256) gemm_bfloat16(const short* a, const short* b, float* c, int n, int k)
{
    multiply<Bfloat16>(a, b, c, n, k);
}
