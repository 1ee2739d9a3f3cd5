#pragma once

#include <ck_tile/core.hpp>

namespace ck_tile {

template <class Warps>
inline constexpr index_t kNumWarps = Warps::at(number<0>{}) * Warps::at(number<1>{}) * Warps::at(number<2>{});

template <class BlockTile, class Gemm0BlockWarps, class Gemm0WarpTile, class Gemm1BlockWarps, class Gemm1WarpTile,
          bool kIsVLayoutRowMajor>
struct TileFmhaShape {
    static_assert(kIsVLayoutRowMajor && BlockTile::at(number<5>{}) % BlockTile::at(number<2>{}) == 0);
    static constexpr index_t NumWarps = kNumWarps<Gemm0BlockWarps>;
    static constexpr index_t kM0 = BlockTile::at(number<0>{});
    static constexpr index_t kN0 = BlockTile::at(number<1>{});
    static constexpr index_t kN1 = BlockTile::at(number<3>{});
};

template <class BlockTile, class Gemm0BlockWarps, class Gemm0WarpTile, class Gemm1BlockWarps, class Gemm1WarpTile,
          class Gemm2BlockWarps, class Gemm2WarpTile, class Gemm3BlockWarps, class Gemm3WarpTile, class Gemm4BlockWarps,
          class Gemm4WarpTile>
struct TileFmhaBwdShape {
    static constexpr index_t NumWarps = kNumWarps<Gemm0BlockWarps>;
    static_assert(NumWarps == kNumWarps<Gemm1BlockWarps> && NumWarps == kNumWarps<Gemm4BlockWarps>);
    static constexpr index_t kM0 = BlockTile::at(number<0>{});
    static constexpr index_t kN0 = BlockTile::at(number<1>{});
    static constexpr index_t kQKHeaddim = BlockTile::at(number<7>{});
    static constexpr index_t kVHeaddim = BlockTile::at(number<8>{});
};

} // namespace ck_tile
