// Union, intersection and complement: the laws on compositions, and how early "early" is.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;
using ck_tile_masks::MaskDefABC;

TEST(Union, Laws)
{
    check_laws(diagonal(2, 1) | diagonal(0, 9, true));
    check_laws(longformer(4, 2, 3) | big_bird(4, 1, 1, 2, 3), {2});
    check_laws(causal() | ~causal());
}

TEST(Intersection, Laws)
{
    check_laws(longformer(8, 3) & causal());
    check_laws(longformer(6, 1, 2) & longformer(9, 2, 3));
    check_laws(big_bird(4) & causal(true), {1});
    check_laws(causal() & ~causal());
}

TEST(Complement, Laws)
{
    check_laws(~~diagonal(3, 0, true, 2));
    check_laws(~(longformer(4, 2, 2) & causal()));
    check_laws(~(big_bird(3, 3, 0, 2, 1) | diagonal(1, 1)), {3});
}

TEST(Nested, Laws)
{
    check_laws((diagonal(3, 0) | longformer(2, 4)) & ~diagonal(0, 0));
    check_laws((big_bird(2, 3, 1, 1, 4) & causal()) | (diagonal(0, 2, true) & ~full()));
    check_laws(~((diagonal(6, 2) & ~diagonal(2, 0)) | (longformer(10, 1, 3) & causal(true))));
    check_laws(((longformer(6, 0, 2) | longformer(6, 0, 3)) & (causal() | diagonal(0, 4, true))) & ~big_bird(4));
    check_laws(~(~(big_bird(5, 1, 0, 1, 9) | diagonal(0, 1)) & ~longformer(2, 1, 7)));
}

// An element definition and a block definition among the parts.
struct Odd : MaskDefABC<Odd> {
    static constexpr const char* get_name() { return "odd"; }
    constexpr bool mask_func(index_t i, index_t j) const { return (i / 2 + j) % 2 == 1; }
};
struct Corner : MaskDefABC<Corner> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "corner"; }
    constexpr index_t block_y() const { return 6; }
    constexpr index_t block_x() const { return 4; }
    constexpr bool tile_mask_func(index_t I, index_t J) const { return I + J < 4; }
};

TEST(Nested, LawsWithProbedParts)
{
    const Spec<Odd> odd{
        {}, {"odd", [](const MaskCall&) { return [](element_t i, element_t j) { return (i / 2 + j) % 2 == 1; }; }}};
    const Spec<Corner> corner{
        {}, {"corner", [](const MaskCall&) { return [](element_t i, element_t j) { return i / 6 + j / 4 < 4; }; }}};
    check_laws((odd & corner) | diagonal(1, 0));
    check_laws(~corner & (odd | causal(true)));
}

// --- How early ------------------------------------------------------------------------------------------------------

// @post the live walk of A & B stands on columns that some row attends by A and some row by B, and skips all others;
//       so does the not-full walk of A | B with "not attended by"; and the same for rows
template <class A, class B>
void check_early(const Spec<A>& a, const Spec<B>& b, const MaskCall& call)
{
    const Elements of_a(a.claim.oracle(call), call.seqlen_q, call.seqlen_k);
    const Elements of_b(b.claim.oracle(call), call.seqlen_q, call.seqlen_k);
    const auto both = make_view(a.def & b.def, call, DynamicTile{}),
               any = make_view(a.def | b.def, call, DynamicTile{});
    const auto count = [](const Elements& of, bool cols, index_t b0, index_t b1, index_t line) {
        return of.count(cols ? Rect{b0, b1, line, line + 1} : Rect{line, line + 1, b0, b1});
    };
    for (const bool cols : {true, false}) {
        const index_t lines = cols ? call.seqlen_q : call.seqlen_k, n = cols ? call.seqlen_k : call.seqlen_q;
        for (index_t b0 = 0; b0 < lines; ++b0)
            for (index_t b1 = b0 + 1; b1 <= lines; ++b1) {
                index_t live = kNone, not_full = kNone;
                for (index_t from = n - 1; from >= 0; --from) {
                    const index_t in_a = count(of_a, cols, b0, b1, from), in_b = count(of_b, cols, b0, b1, from);
                    if (in_a > 0 && in_b > 0) live = from;
                    if (in_a < b1 - b0 && in_b < b1 - b0) not_full = from;
                    const index_t next_live = both->next(cols ? Band::live_col : Band::live_row, b0, b1, from);
                    const index_t next_not_full =
                        any->next(cols ? Band::not_full_col : Band::not_full_row, b0, b1, from);
                    ASSERT_EQ(next_live < n ? next_live : kNone, live)
                        << (a & b).claim.name << (cols ? " rows [" : " columns [") << b0 << ", " << b1 << ") from "
                        << from;
                    ASSERT_EQ(next_not_full < n ? next_not_full : kNone, not_full)
                        << (a | b).claim.name << (cols ? " rows [" : " columns [") << b0 << ", " << b1 << ") from "
                        << from;
                }
            }
    }
}

TEST(Leapfrog, IsAsLateAsItsPartsAllow)
{
    for (const MaskCall& call : {MaskCall{0, 1, 17, 17}, MaskCall{0, 1, 9, 21}, MaskCall{0, 1, 22, 8}}) {
        check_early(longformer(6, 0, 2), longformer(8, 0, 3), call);
        check_early(longformer(2, 1, 7), ~diagonal(3, 2), call);
        check_early(big_bird(2, 1, 0, 2, 3), diagonal(2, 4, true, 1), call);
        check_early(~big_bird(3, 1, 0, 1, 4), longformer(4, 0, 3), call);
    }
}

// Windows that lie further apart than a tile leave nothing to visit, closer ones at most the tiles that both meet.
TEST(Leapfrog, DisjointWindowsLeaveNothing)
{
    const auto apart = diagonal(2, 2).def & diagonal(2, 2, true).def;
    const GenericAttentionMask far(apart, {0, 0, 4096, 4296}, DynamicTile{16, 16});
    EXPECT_EQ(far.num_live_tiles(), 0);
    const GenericAttentionMask near(apart, {0, 0, 4096, 4106}, DynamicTile{16, 16});
    EXPECT_LE(near.num_live_tiles(), 3 * 256);
}

// Where the walk along a row answers early, the question along the column settles it, and the other way round.
TEST(Leapfrog, BothDirectionsAreAsked)
{
    const auto strip = causal().def & ~diagonal(-1, 0, true).def; // i + d < j <= i with d = Sk - Sq < 0
    const GenericAttentionMask mask(strip, {0, 0, 64, 56}, DynamicTile{8, 8});
    for (index_t I = 0; I < 8; ++I)
        for (index_t J = 0; J < 7; ++J) {
            const bool live = J == I || J == I - 1; // j in (i - 8, i]
            EXPECT_EQ(mask.TileMask(I, J), live) << "tile (" << I << ", " << J << ")";
        }
}

TEST(Names, SayHowPartsAreCombined)
{
    const auto d = diagonal(1, 1).def;
    EXPECT_STREQ(decltype(d | d)::get_name(), "union");
    EXPECT_STREQ(decltype(d & d)::get_name(), "intersection");
    EXPECT_STREQ(decltype(~d)::get_name(), "complement");
}

} // namespace
