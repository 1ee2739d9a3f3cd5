#pragma once

#include "ck_tile_masks/walks.hpp"

// Union, intersection and complement of mask definitions; `a | b`, `a & b`, `~a` build them.
//
//                 live                                not full
//     A or B      min of the parts (exact)            leapfrog until the parts agree (early)
//     A and B     leapfrog (early)                    min of the parts (exact)
//     not A       not-full of A                       live of A
//
// "Early": some row attends j by A and some row by B, but perhaps not the same row. GenericAttentionMask then asks in
// the other direction as well.

namespace ck_tile_masks {

namespace algebra {

// Smallest j >= from on which both walks stand, or kNone. Each walk maps `from` to its first position >= from.
// @post first(j) == j and second(j) == j, or j == kNone
template <class First, class Second>
CK_TILE_MASKS_HD constexpr index_t leapfrog(First first, Second second, index_t from)
{
    index_t j = first(from);
    while (j != kNone) {
        const index_t k = second(j);
        if (k == j || k == kNone) return k;
        j = first(k);
        if (j == k) return j;
    }
    return kNone;
}

// Binds one of the four walks to a part and a band.
#define CK_TILE_MASKS_WALK_OF(part, name) [&](index_t from) { return part.name(b0, b1, from); }

} // namespace algebra

template <class A, class B>
struct Union : MaskDefABC<Union<A, B>> {
    A a;
    B b;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "union"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Union<bound_mask_t<A>, bound_mask_t<B>>{{}, bind_mask(a, call), bind_mask(b, call)};
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
                                 CK_TILE_MASKS_WALK_OF(b, next_not_full_col), from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_not_full_row),
                                 CK_TILE_MASKS_WALK_OF(b, next_not_full_row), from);
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return ck_tile_masks::row_bits(a, i, j0, count) | ck_tile_masks::row_bits(b, i, j0, count);
    }
};

template <class A, class B>
struct Intersection : MaskDefABC<Intersection<A, B>> {
    A a;
    B b;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "intersection"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        return Intersection<bound_mask_t<A>, bound_mask_t<B>>{{}, bind_mask(a, call), bind_mask(b, call)};
    }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return a.mask_func(i, j) && b.mask_func(i, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_live_col), CK_TILE_MASKS_WALK_OF(b, next_live_col),
                                 from);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t b0, index_t b1, index_t from) const
    {
        return algebra::leapfrog(CK_TILE_MASKS_WALK_OF(a, next_live_row), CK_TILE_MASKS_WALK_OF(b, next_live_row),
                                 from);
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
};

#undef CK_TILE_MASKS_WALK_OF

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

} // namespace ck_tile_masks
