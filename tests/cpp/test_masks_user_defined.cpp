// Definitions as a user writes them, on each level of knowledge: elements, blocks, closed form; per-head binding.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;
using ck_tile_masks::MaskDefABC;

// --- A mask in ten lines --------------------------------------------------------------------------------------------

// The definition of docs/add_a_mask.md: speakers take turns, and each attends only what itself said.
struct SameSpeaker : MaskDefABC<SameSpeaker> {
    static constexpr bool IsTileMask = true;
    index_t turn;

    constexpr explicit SameSpeaker(index_t turn_) : turn(turn_) {}
    static constexpr const char* get_name() { return "same_speaker"; }
    constexpr index_t block_y() const { return turn; }
    constexpr index_t block_x() const { return turn; }
    constexpr bool tile_mask_func(index_t i, index_t j) const { return i % 2 == j % 2; }
};

Spec<SameSpeaker> same_speaker(index_t turn)
{
    const Oracle oracle = [=](const MaskCall&) {
        return [=](element_t i, element_t j) { return i / turn % 2 == j / turn % 2; };
    };
    return {SameSpeaker(turn), {text("same_speaker(", turn, ")"), oracle}};
}

TEST(MaskInTenLines, IsAMask)
{
    const GenericAttentionMask<SameSpeaker> mask(SameSpeaker(24), {0, 0, 1024, 1024}, {16, 16});
    EXPECT_STREQ(mask.get_name(), "same_speaker");
    EXPECT_TRUE(mask.ElementwiseMask(100, 1));
    EXPECT_FALSE(mask.ElementwiseMask(100, 24));
    EXPECT_EQ(mask.GetTileStatus(0, 1), TileStatus::edge); // columns 16 .. 31 are of both turns
    EXPECT_EQ(mask.GetTileStatus(0, 2), TileStatus::empty);
    EXPECT_EQ(mask.GetTileStatus(0, 3), TileStatus::full);
}
TEST(MaskInTenLines, Laws)
{
    check_laws(same_speaker(24));
    check_laws(same_speaker(5) & causal());
}

// --- Elements -------------------------------------------------------------------------------------------------------

struct Sprinkled : MaskDefABC<Sprinkled> {
    index_t modulus;

    constexpr explicit Sprinkled(index_t modulus_) : modulus(modulus_) {}
    static constexpr const char* get_name() { return "sprinkled"; }
    constexpr bool mask_func(index_t i, index_t j) const { return (i * i + 3 * j + i * j) % modulus == 1; }
};

Spec<Sprinkled> sprinkled(index_t modulus)
{
    const Oracle oracle = [=](const MaskCall&) {
        return [=](element_t i, element_t j) { return (i * i + 3 * j + i * j) % modulus == 1; };
    };
    return {Sprinkled(modulus), {text("sprinkled(", modulus, ")"), oracle}};
}

TEST(ElementMask, Laws)
{
    check_laws(sprinkled(23));
    for (const index_t modulus : {2, 7, 101})
        check_short_laws(sprinkled(modulus));
    check_short_laws(~sprinkled(11));
}

// --- Blocks ---------------------------------------------------------------------------------------------------------

// Blocks are all or nothing.
struct Blocks : MaskDefABC<Blocks> {
    static constexpr bool IsTileMask = true;
    index_t size_y, size_x;

    constexpr Blocks(index_t size_y_, index_t size_x_) : size_y(size_y_), size_x(size_x_) {}
    static constexpr const char* get_name() { return "blocks"; }
    constexpr index_t block_y() const { return size_y; }
    constexpr index_t block_x() const { return size_x; }
    constexpr bool tile_mask_func(index_t I, index_t J) const { return (2 * I + 3 * J + I * J) % 5 < 2; }
};

Spec<Blocks> blocks(index_t size_y, index_t size_x)
{
    const Oracle oracle = [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            const element_t I = i / size_y, J = j / size_x;
            return (2 * I + 3 * J + I * J) % 5 < 2;
        };
    };
    return {Blocks(size_y, size_x), {text("blocks(", size_y, ", ", size_x, ")"), oracle}};
}

TEST(BlockMask, Laws)
{
    check_laws(blocks(8, 8));
    for (const index_t size : {1, 3, 4, 64})
        check_short_laws(blocks(size, size));
    check_short_laws(~blocks(5, 5));
}
TEST(BlockMask, LawsOfOblongBlocks)
{
    check_laws(blocks(7, 3));
    check_short_laws(blocks(2, 5));
    check_short_laws(blocks(1, 16));
    check_short_laws(~blocks(6, 1));
}

// Every third column of blocks but the first, with block walks.
struct Stripes : MaskDefABC<Stripes> {
    static constexpr bool IsTileMask = true;
    index_t size_y, size_x, seqlen_q = 0, seqlen_k = 0;

    constexpr Stripes(index_t size_y_, index_t size_x_) : size_y(size_y_), size_x(size_x_) {}
    static constexpr const char* get_name() { return "stripes"; }
    constexpr index_t block_y() const { return size_y; }
    constexpr index_t block_x() const { return size_x; }
    constexpr bool tile_mask_func(index_t, index_t J) const { return J % 3 == 2; }
    constexpr index_t next_live_block_col(index_t, index_t, index_t from) const { return from / 3 * 3 + 2; }
    constexpr index_t next_not_full_block_col(index_t, index_t, index_t from) const { return from + (from % 3 == 2); }
    constexpr index_t next_live_block_row(index_t J0, index_t J1, index_t from) const
    {
        return next_live_block_col(0, 1, J0) < J1 ? from : kNone;
    }
    constexpr index_t next_not_full_block_row(index_t J0, index_t J1, index_t from) const
    {
        return next_not_full_block_col(0, 1, J0) < J1 ? from : kNone;
    }
};

Spec<Stripes> stripes(index_t size_y, index_t size_x)
{
    const Oracle oracle = [=](const MaskCall&) { return [=](element_t, element_t j) { return j / size_x % 3 == 2; }; };
    return {Stripes(size_y, size_x), {text("stripes(", size_y, ", ", size_x, ")"), oracle}};
}

TEST(BlockMask, LawsWithBlockWalks)
{
    check_laws(stripes(3, 7));
    check_short_laws(stripes(1, 1));
    check_short_laws(stripes(4, 4));
    check_short_laws(~stripes(8, 2));
}

// Causal on the level of blocks, with partial blocks.
struct CausalBlocks : MaskDefABC<CausalBlocks> {
    static constexpr bool IsTileMask = true;
    index_t size_y, size_x;

    constexpr CausalBlocks(index_t size_y_, index_t size_x_) : size_y(size_y_), size_x(size_x_) {}
    static constexpr const char* get_name() { return "causal_blocks"; }
    constexpr index_t block_y() const { return size_y; }
    constexpr index_t block_x() const { return size_x; }
    constexpr bool tile_mask_func(index_t I, index_t J) const { return J * size_x <= I * size_y + size_y - 1; }
    constexpr bool edge_tile_func(index_t I, index_t J) const
    {
        return tile_mask_func(I, J) && J * size_x + size_x - 1 > I * size_y;
    }
    constexpr bool mask_func(index_t i, index_t j) const { return j <= i; }
};

Spec<CausalBlocks> causal_blocks(index_t size_y, index_t size_x)
{
    return {CausalBlocks(size_y, size_x),
            {text("causal_blocks(", size_y, ", ", size_x, ")"), diagonal_oracle(-1, 0, false, 0), false, false}};
}

TEST(BlockMaskWithEdges, Laws)
{
    check_laws(causal_blocks(4, 4));
    check_laws(causal_blocks(16, 5));
    check_short_laws(causal_blocks(1, 1));
    check_short_laws(causal_blocks(3, 8));
    check_short_laws(~causal_blocks(6, 6));
}

// Not only sound: where tiles consist of whole blocks, nothing is lost.
TEST(BlockMaskWithEdges, IsExactOnWholeBlocks)
{
    for (const auto& [size_y, size_x] : {std::pair{1, 1}, std::pair{4, 4}, std::pair{3, 8}, std::pair{16, 5}})
        for (const index_t factor : {1, 2, 3}) {
            Claim exact = causal_blocks(size_y, size_x).claim;
            exact.live_exact = exact.full_exact = true;
            check_shape(exact, view_factory(causal_blocks(size_y, size_x)), {0, 0, 12 * size_y, 12 * size_x},
                        {{factor * size_y, factor * size_x}});
        }
}

// --- Closed forms ---------------------------------------------------------------------------------------------------

// A closed form that always answers early: every tile is visited and checked.
struct Chessboard : MaskDefABC<Chessboard> {
    static constexpr const char* get_name() { return "chessboard"; }
    constexpr bool mask_func(index_t i, index_t j) const { return (i + j) % 2 == 0; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t from) const { return from; }
};

Spec<Chessboard> chessboard()
{
    const Oracle oracle = [](const MaskCall&) { return [](element_t i, element_t j) { return (i + j) % 2 == 0; }; };
    return {{}, {"chessboard", oracle, false, false}};
}

TEST(EarlyMask, Laws)
{
    check_laws(chessboard());
    check_laws(~chessboard() & causal());
}

// Rows of a prefix, with its own row_bits and an overhasty claim to serve bits outside of [0, count).
struct FirstRows : MaskDefABC<FirstRows> {
    index_t rows;
    constexpr explicit FirstRows(index_t rows_) : rows(rows_) {}
    static constexpr const char* get_name() { return "first_rows"; }
    constexpr bool exact() const { return true; }
    constexpr bool mask_func(index_t i, index_t) const { return i < rows; }
    constexpr index_t next_live_col(index_t i0, index_t, index_t from) const { return i0 < rows ? from : kNone; }
    constexpr index_t next_not_full_col(index_t, index_t i1, index_t from) const { return i1 > rows ? from : kNone; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from < rows ? from : kNone; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t from) const { return from < rows ? rows : from; }
    constexpr bits_t row_bits(index_t i, index_t, index_t count) const
    {
        return i < rows ? ck_tile_masks::low_bits(count) : 0;
    }
};

Spec<FirstRows> first_rows(index_t rows)
{
    const Oracle oracle = [=](const MaskCall&) { return [=](element_t i, element_t) { return i < rows; }; };
    return {FirstRows(rows), {text("first_rows(", rows, ")"), oracle}};
}

TEST(ClosedFormMask, LawsWithOwnRowBits)
{
    check_laws(first_rows(0));
    check_laws(first_rows(17));
    check_laws(first_rows(5) | diagonal(2, 1));
}

// --- Binding --------------------------------------------------------------------------------------------------------

// Parameters and bound form are two types; what is attended depends on head, batch and lengths.
struct PerHeadWindow : MaskDefABC<PerHeadWindow> {
    static constexpr const char* get_name() { return "per_head_window"; }
    constexpr ck_tile_masks::BoundDiagonal bind(const MaskCall& call) const
    {
        return ck_tile_masks::Diagonal(call.head, call.batch).bind(call);
    }
};

Spec<PerHeadWindow> per_head_window()
{
    const Oracle oracle = [](const MaskCall& call) { return diagonal_oracle(call.head, call.batch, false, 0)(call); };
    return {{}, {"per_head_window", oracle}};
}

// Each part of a composition is bound to the call, wherever it stands.
TEST(BoundMask, SeesTheCall)
{
    const auto check = [](const auto& spec) {
        for (const index_t batch : {0, 2})
            for (const index_t head : {0, 1, 5, 30})
                for (const index_t seqlen_k : {0, 19, 37})
                    check_shape(spec.claim, view_factory(spec), {batch, head, 25, seqlen_k});
    };
    const auto window = per_head_window();
    check(window);
    check(~window);
    check(window | first_rows(3));
    check(first_rows(3) | window);
    check(window & ~first_rows(3));
    check(~first_rows(3) & window);
    check(~((first_rows(9) & ~window) | (window & causal(true))));
}

} // namespace
