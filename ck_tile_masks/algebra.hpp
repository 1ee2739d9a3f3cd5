#pragma once

#include "ck_tile_masks/bit_matrix.hpp"
#include "ck_tile_masks/walks.hpp"

// The algebra of mask definitions: `a | b`, `a & b`, `~a`, `transpose(a)`, `shift(a, dq, dk)`, and a choice per head or
// per sample. All of them are definitions again.
//
//                 live                                not full
//     A or B      min of the parts (exact)            leapfrog until the parts agree (early)
//     A and B     leapfrog (early)                    min of the parts (exact)
//     not A       not-full of A                       live of A
//     transpose,  those of A, arguments exchanged     the same
//     shift       or offset (exact)
//
// "Early": some row attends j by A and some row by B, but perhaps not the same row. GenericAttentionMask then asks in
// the other direction as well.

namespace ck_tile_masks {

namespace algebra {

// Smallest j >= from on which both walks stand, or kNone if that is not before `end`. Each walk maps `from` to its
// first position >= from. Patterns have no end of their own: two that never agree would be followed far past the
// sequence.
// @post first(j) == j and second(j) == j, or j == kNone
template <class First, class Second>
CK_TILE_MASKS_HD constexpr index_t leapfrog(First first, Second second, index_t from, index_t end)
{
    // Each walk occurs once: on GPUs they are inlined, and compositions are walks as well.
    for (bool is_of_second = false;; is_of_second = true) { // does the second walk stand on `from`?
        const index_t j = first(from);
        if (j >= end) return kNone;
        if (j == from && is_of_second) return j;
        from = second(j);
        if (from == j) return j;
        if (from >= end) return kNone;
    }
}

// bits = combine(bits of a, bits of b), in pieces of rows that fit into registers or a small stack.
template <class A, class B, class Combine>
CK_TILE_MASKS_HD constexpr void combine_tile_bits(const A& a, const B& b, index_t i0, index_t i1, index_t j0,
                                                  index_t count, bits_t* bits, Combine combine)
{
    constexpr index_t kPiece = 64;
    tile_bits(a, i0, i1, j0, count, bits);
    for (index_t i = i0, end = i0; i < i1; i = end) {
        bits_t of_b[kPiece] = {};
        end = min(sat_add(i, kPiece), i1);
        tile_bits(b, i, end, j0, count, of_b);
        for (index_t r = i; r < end; ++r)
            bits[r - i0] = combine(bits[r - i0], of_b[r - i]);
    }
}

// Binds one of the four walks to a part and a band.
#define CK_TILE_MASKS_WALK_OF(part, name) [&](index_t from) CK_TILE_MASKS_INLINE { return part.name(b0, b1, from); }

} // namespace algebra

template <class A, class B>
struct Union : MaskDefABC<Union<A, B>> {
    A a;
    B b;
    index_t seqlen_q = kIndexMax; // of the call it is bound to
    index_t seqlen_k = kIndexMax;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "union"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Union<bound_mask_t<A>, bound_mask_t<B>>{
            {}, bind_mask(a, call), bind_mask(b, call), call.seqlen_q, call.seqlen_k};
    }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return a.mask_func(i, j) || b.mask_func(i, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t b0, index_t b1, index_t from) const
    {
        return min(a.next_live_col(b0, b1, from), b.next_live_col(b0, b1, from));
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t b0, index_t b1, index_t from) const
    {
        return min(a.next_live_row(b0, b1, from), b.next_live_row(b0, b1, from));
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_not_full_col),
                                 CK_TILE_MASKS_WALK_OF(b, next_not_full_col), from, seqlen_k);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_not_full_row),
                                 CK_TILE_MASKS_WALK_OF(b, next_not_full_row), from, seqlen_q);
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return ck_tile_masks::row_bits(a, i, j0, count) | ck_tile_masks::row_bits(b, i, j0, count);
    }
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        algebra::combine_tile_bits(a, b, i0, i1, j0, count, bits, [](bits_t x, bits_t y) { return x | y; });
    }
};

template <class A, class B>
struct Intersection : MaskDefABC<Intersection<A, B>> {
    A a;
    B b;
    index_t seqlen_q = kIndexMax; // of the call it is bound to
    index_t seqlen_k = kIndexMax;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "intersection"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Intersection<bound_mask_t<A>, bound_mask_t<B>>{
            {}, bind_mask(a, call), bind_mask(b, call), call.seqlen_q, call.seqlen_k};
    }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return a.mask_func(i, j) && b.mask_func(i, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_live_col), CK_TILE_MASKS_WALK_OF(b, next_live_col), from,
                                 seqlen_k);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_live_row), CK_TILE_MASKS_WALK_OF(b, next_live_row), from,
                                 seqlen_q);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t b0, index_t b1, index_t from) const
    {
        return min(a.next_not_full_col(b0, b1, from), b.next_not_full_col(b0, b1, from));
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t b0, index_t b1, index_t from) const
    {
        return min(a.next_not_full_row(b0, b1, from), b.next_not_full_row(b0, b1, from));
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return ck_tile_masks::row_bits(a, i, j0, count) & ck_tile_masks::row_bits(b, i, j0, count);
    }
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        algebra::combine_tile_bits(a, b, i0, i1, j0, count, bits, [](bits_t x, bits_t y) { return x & y; });
    }
};

// Inside the bounds of the call: GenericAttentionMask keeps what lies outside of them unattended.
template <class A>
struct Complement : MaskDefABC<Complement<A>> {
    A a;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "complement"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Complement<bound_mask_t<A>>{{}, bind_mask(a, call)};
    }
    CK_TILE_MASKS_HD constexpr bool exact() const { return a.exact(); }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return !a.mask_func(i, j); }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t b0, index_t b1, index_t from) const
    {
        return a.next_not_full_col(b0, b1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t b0, index_t b1, index_t from) const
    {
        return a.next_not_full_row(b0, b1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t b0, index_t b1, index_t from) const
    {
        return a.next_live_col(b0, b1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t b0, index_t b1, index_t from) const
    {
        return a.next_live_row(b0, b1, from);
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return ~ck_tile_masks::row_bits(a, i, j0, count) & low_bits(count);
    }
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        ck_tile_masks::tile_bits(a, i0, i1, j0, count, bits);
        for (index_t i = i0; i < i1; ++i)
            bits[i - i0] = ~bits[i - i0] & low_bits(count);
    }
};

#undef CK_TILE_MASKS_WALK_OF

// Rows and columns exchanged: (i, j) is attended iff A, bound to the exchanged lengths, attends (j, i).
template <class A>
struct Transposed : MaskDefABC<Transposed<A>> {
    A a;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "transposed"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Transposed<bound_mask_t<A>>{{}, bind_mask(a, {call.batch, call.head, call.seqlen_k, call.seqlen_q})};
    }
    CK_TILE_MASKS_HD constexpr bool exact() const { return a.exact(); }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return a.mask_func(j, i); }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from) const
    {
        return a.next_live_row(i0, i1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from) const
    {
        return a.next_live_col(j0, j1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from) const
    {
        return a.next_not_full_row(i0, i1, from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from) const
    {
        return a.next_not_full_col(j0, j1, from);
    }
    // Row by row the elements of `a` would be asked one by one.
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        for (index_t i = i0, end = i0; i < i1; i = end) {
            bits_t columns[64] = {};
            end = min(sat_add(i, 64), i1);
            ck_tile_masks::tile_bits(a, j0, j0 + count, i, end - i, columns);
            transpose_bits(columns);
            for (index_t r = i; r < end; ++r)
                bits[r - i0] = columns[r - i];
        }
    }
    template <class B = A, class = contract::live_run_end_row_t<B>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return a.live_run_end_row(i0, i1, j);
    }
    template <class B = A, class = contract::live_run_end_col_t<B>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        return a.live_run_end_col(j0, j1, i);
    }
    template <class B = A, class = contract::count_live_row_tiles_t<B>>
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        return a.count_live_row_tiles(i0, i1, tile, seqlen_k);
    }
    template <class B = A, class = contract::count_live_col_tiles_t<B>>
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return a.count_live_col_tiles(j0, j1, tile, seqlen_q);
    }
    template <class B = A, class = contract::count_live_tiles_of_cols_t<B>>
    CK_TILE_MASKS_HD bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return a.count_live_tiles_of_cols(rows, counts);
    }
    template <class B = A, class = contract::count_live_tiles_of_rows_t<B>>
    CK_TILE_MASKS_HD bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return a.count_live_tiles_of_rows(cols, counts);
    }
};

// The bound form of Shifted: element (i, j) is element (i - dq, j - dk) of `a`, which has neither negative rows nor
// negative columns.
template <class A>
struct BoundShifted : MaskDefABC<BoundShifted<A>> {
    A a;
    index_t dq;
    index_t dk;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "shifted"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return a.exact(); }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return i >= dq && j >= dk && a.mask_func(sat_sub(i, dq), sat_sub(j, dk));
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from) const
    {
        return i1 <= dq ? kNone : moved(a.next_live_col(begin(i0, dq), sat_sub(i1, dq), begin(from, dk)), dk);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from) const
    {
        return j1 <= dk ? kNone : moved(a.next_live_row(begin(j0, dk), sat_sub(j1, dk), begin(from, dq)), dq);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from) const
    {
        if (i0 < dq || from < dk) return from;
        return moved(a.next_not_full_col(sat_sub(i0, dq), sat_sub(i1, dq), sat_sub(from, dk)), dk);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from) const
    {
        if (j0 < dk || from < dq) return from;
        return moved(a.next_not_full_row(sat_sub(j0, dk), sat_sub(j1, dk), sat_sub(from, dq)), dq);
    }
    template <class B = A, class = contract::live_run_end_col_t<B>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return moved(a.live_run_end_col(begin(i0, dq), sat_sub(i1, dq), sat_sub(j, dk)), dk);
    }
    template <class B = A, class = contract::live_run_end_row_t<B>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        return moved(a.live_run_end_row(begin(j0, dk), sat_sub(j1, dk), sat_sub(i, dq)), dq);
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const index_t skipped = max(sat_sub(dk, j0), 0); // columns before the first one of `a`
        if (i < dq || skipped >= count) return 0;
        return ck_tile_masks::row_bits(a, sat_sub(i, dq), sat_sub(j0 + skipped, dk), count - skipped) << skipped;
    }
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        const index_t skipped = max(sat_sub(dk, j0), 0); // columns before the first one of `a`
        const index_t first = skipped >= count ? i1 : min(max(dq, i0), i1);
        for (index_t i = i0; i < first; ++i)
            bits[i - i0] = 0;
        if (first == i1) return;
        ck_tile_masks::tile_bits(a, sat_sub(first, dq), sat_sub(i1, dq), sat_sub(j0 + skipped, dk), count - skipped,
                                 bits + (first - i0));
        for (index_t i = first; i < i1; ++i)
            bits[i - i0] <<= skipped;
    }

private:
    CK_TILE_MASKS_HD static constexpr index_t begin(index_t index, index_t d) { return max(sat_sub(index, d), 0); }
    CK_TILE_MASKS_HD static constexpr index_t moved(index_t index, index_t d)
    {
        return index == kNone ? kNone : sat_add(index, d);
    }
};

// A moved down by dq rows and right by dk columns (up and left if negative): the mask of a sequence of seqlen_q - dq
// rows and seqlen_k - dk columns whose first element is placed at (dq, dk). What lies before it is not attended; what a
// negative shift moves out of the call is cut off. So shift(a, -offset, 0) is the mask of the queries from `offset` on.
// @pre seqlen_q - dq and seqlen_k - dk are below 2^31
template <class A>
struct Shifted : MaskDefABC<Shifted<A>> {
    A a;
    index_t dq;
    index_t dk;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "shifted"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        const MaskCall inner{call.batch, call.head, max(sat_sub(call.seqlen_q, dq), 0),
                             max(sat_sub(call.seqlen_k, dk), 0)};
        return BoundShifted<bound_mask_t<A>>{{}, bind_mask(a, inner), dq, dk};
    }
};

// One definition for each head: parts[head].
// @pre head < count
template <class A>
struct PerHead : MaskDefABC<PerHead<A>> {
    const A* parts;
    index_t count;

    CK_TILE_MASKS_HD constexpr PerHead(const A* parts_, index_t count_) : parts(parts_), count(count_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "per_head"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const { return bind_mask(parts[call.head], call); }
};

// One definition for each sample: parts[batch].
// @pre batch < count
template <class A>
struct PerSample : MaskDefABC<PerSample<A>> {
    const A* parts;
    index_t count;

    CK_TILE_MASKS_HD constexpr PerSample(const A* parts_, index_t count_) : parts(parts_), count(count_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "per_sample"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const { return bind_mask(parts[call.batch], call); }
};

template <class A, class B, class = typename A::MaskDefTag, class = typename B::MaskDefTag>
CK_TILE_MASKS_HD constexpr Union<A, B> operator|(const A& a, const B& b)
{
    return {{}, a, b};
}
template <class A, class B, class = typename A::MaskDefTag, class = typename B::MaskDefTag>
CK_TILE_MASKS_HD constexpr Intersection<A, B> operator&(const A& a, const B& b)
{
    return {{}, a, b};
}
template <class A, class = typename A::MaskDefTag>
CK_TILE_MASKS_HD constexpr Complement<A> operator~(const A& a)
{
    return {{}, a};
}
template <class A, class = typename A::MaskDefTag>
CK_TILE_MASKS_HD constexpr Transposed<A> transpose(const A& a)
{
    return {{}, a};
}
template <class A, class = typename A::MaskDefTag>
CK_TILE_MASKS_HD constexpr Shifted<A> shift(const A& a, index_t dq, index_t dk)
{
    return {{}, a, dq, dk};
}

} // namespace ck_tile_masks
