// GenericAttentionMask: what does not depend on the definition.

#include <type_traits>

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;
using ck_tile_masks::BigBird;
using ck_tile_masks::Diagonal;
using ck_tile_masks::FixedTile;
using ck_tile_masks::Full;
using ck_tile_masks::Longformer;

template <class Tile, class Def>
void check_fixed_tile(const Spec<Def>& spec, Tile tile)
{
    for (const index_t seqlen_q : {0, 1, 17, 40})
        for (const index_t seqlen_k : {0, 1, 23, 40}) {
            const MaskCall call{0, 1, seqlen_q, seqlen_k};
            const Elements truth(spec.claim.oracle(call), seqlen_q, seqlen_k);
            const Subject s{spec.claim, call, {tile.y(), tile.x()}};
            const auto view = make_view(spec.def, call, tile);
            if (!check_elements(s, *view, truth) || !check_tiles(s, *view, truth) || !check_walks(s, *view)) return;
        }
}

TEST(GenericAttentionMask, FixedTileLaws)
{
    check_fixed_tile(causal(), FixedTile<16, 16>{});
    check_fixed_tile(big_bird(4), FixedTile<7, 5>{});
    check_fixed_tile(longformer(6, 2, 3) & causal(true), FixedTile<1, 64>{});
}

TEST(GenericAttentionMask, DefaultTileIs64By64)
{
    const GenericAttentionMask<Full> mask(Full{}, {0, 0, 65, 128});
    EXPECT_EQ(mask.tile_y(), 64);
    EXPECT_EQ(mask.tile_x(), 64);
    EXPECT_EQ(mask.num_tiles_y(), 2);
    EXPECT_EQ(mask.num_tiles_x(), 2);
}

TEST(GenericAttentionMask, SaysWhatItIs)
{
    const GenericAttentionMask<BigBird, FixedTile<32, 16>> mask(BigBird(), {0, 0, 100, 200});
    EXPECT_STREQ(mask.get_name(), "big_bird");
    EXPECT_EQ(mask.seqlen_q(), 100);
    EXPECT_EQ(mask.seqlen_k(), 200);
    EXPECT_EQ(mask.tile_y(), 32);
    EXPECT_EQ(mask.tile_x(), 16);
    EXPECT_EQ(mask.rows(3).begin, 96);
    EXPECT_EQ(mask.rows(3).end, 100);
    EXPECT_EQ(mask.rows(3).size(), 4);
    EXPECT_EQ(mask.cols(12).begin, 192);
    EXPECT_EQ(mask.cols(12).end, 200);
    EXPECT_TRUE(mask.cols(13).empty());
}

// A tile of negative index lies outside the bounds: nothing in it is attended.
TEST(GenericAttentionMask, NothingIsLiveAtNegativeTiles)
{
    const GenericAttentionMask<Full> dense(Full{}, {0, 0, 100, 100}, {16, 16});
    const GenericAttentionMask<Diagonal> wide(Diagonal(3, 3), {0, 0, 100, 100}, {16, 16});
    for (const index_t outside : {-1, -2, kIndexMin})
        for (const index_t inside : {-1, 0, 3}) {
            EXPECT_TRUE(dense.rows(outside).empty() && dense.cols(outside).empty()) << outside;
            EXPECT_FALSE(dense.TileMask(outside, inside)) << outside << ", " << inside;
            EXPECT_FALSE(dense.TileMask(inside, outside)) << inside << ", " << outside;
            EXPECT_FALSE(dense.IsEdgeTile(outside, inside)) << outside << ", " << inside;
            EXPECT_FALSE(wide.TileMask(outside, inside)) << outside << ", " << inside;
            EXPECT_FALSE(wide.TileMask(inside, outside)) << inside << ", " << outside;
        }
}

// Kernels get the mask as an argument.
TEST(GenericAttentionMask, IsTriviallyCopyable)
{
    using Composed = decltype((BigBird() & Diagonal::causal()) | ~Longformer(8));
    EXPECT_TRUE((std::is_trivially_copyable_v<GenericAttentionMask<Composed>>));
    EXPECT_TRUE((std::is_trivially_copyable_v<GenericAttentionMask<Composed, FixedTile<64, 64>>::Bound>));
}

TEST(GenericAttentionMask, IsConstexpr)
{
    constexpr GenericAttentionMask<Diagonal, FixedTile<16, 16>> window(Diagonal(16, 0), {0, 0, 64, 64});
    static_assert(window.num_live_tiles() == 7);
    static_assert(window.GetTileStatus(0, 0) == TileStatus::edge);
    static_assert(window.GetTileStatus(0, 1) == TileStatus::empty);
    static_assert(window.RowBits(20, 0, 30) == 0x1ffff0);
    constexpr GenericAttentionMask<Full> dense(Full{}, {0, 0, 100, 100});
    static_assert(dense.GetTileStatus(1, 1) == TileStatus::full && dense.IsEdgeTile(1, 1) && !dense.IsEdgeTile(0, 0));
    constexpr auto def = Longformer(4, 1, 3) & ~Diagonal::causal();
    static_assert(GenericAttentionMask<decltype(def)>(def, {0, 0, 40, 40}, {4, 4}).num_live_tiles_in_row(9) == 1);
    SUCCEED();
}

// A range past the last tile is cut, so that a caller may ask for more than there is.
TEST(GenericAttentionMask, WalksStopAtTheLastTile)
{
    const GenericAttentionMask<Full> mask(Full{}, {0, 0, 33, 65}, {16, 16});
    EXPECT_EQ(mask.GetTileIndexIteratorAlongX(0, 2, kIndexMax).end(), 5);
    EXPECT_EQ(mask.GetTileIndexIteratorAlongY(0, 2, kIndexMax).end(), 3);
    EXPECT_EQ(mask.GetTileIndexIteratorAlongX(0, 2, 4).end(), 4);
    EXPECT_EQ(mask.GetTileIndexIteratorAlongX(0, 2, 4).start(), 2);
    EXPECT_EQ(mask.GetTileIndexIteratorAlongX(0, 2, 4).current(), 2);
}

} // namespace
