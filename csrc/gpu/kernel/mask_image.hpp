#pragma once

// How a bound mask gets to a kernel. The host binds the mask to a (batch, head) and writes its *structure*, a C++ type
// made of the names below, which picks the instance, and its *image*, the bytes of that type's parts:
//
//     image(definition)     align 16, the bytes of its bound form; addresses in it are those of copies on the device
//     image(and_, or_)      align 16, int32 seqlen_q, seqlen_k of that node; image(a); image(b)
//     image(shift)          align 16, int32 dq, dk; image(a)
//     image(not_, transpose)  image(a)
//
// per_head and per_sample are gone by then: binding chose their part.

#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/masks/block_list.hpp"
#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_fixed.hpp"
#include "ck_tile_masks/masks/deepspeed_longformer.hpp"
#include "ck_tile_masks/masks/deepspeed_variable.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/documents.hpp"
#include "ck_tile_masks/masks/fixed.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/lengths.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/longformer_tokens.hpp"
#include "ck_tile_masks/masks/neighborhood.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "ck_tile_masks/masks/strided.hpp"
#include "gpu/tile/load_uniform.hpp"

namespace ck_fmha::gpu {

// The names of structures are those of the host's mask expressions.
namespace structure {

namespace ctm = ck_tile_masks;

template <class Def>
using of = ctm::bound_mask_t<Def>;

using full = of<ctm::Full>;
using diagonal = of<ctm::Diagonal>;
using prefix_lm = of<ctm::PrefixLM>;
using longformer = of<ctm::Longformer>;
using longformer_tokens = of<ctm::LongformerTokens>;
using big_bird = of<ctm::BigBird>;
using big_bird_table = of<ctm::BigBirdTable>;
using strided = of<ctm::Strided>;
using fixed = of<ctm::Fixed>;
using documents = of<ctm::Documents>;
using lengths = of<ctm::Lengths>;
using neighborhood = of<ctm::Neighborhood>;
using block_list = of<ctm::BlockList>;
using deepspeed_fixed = of<ctm::DeepSpeedFixed>;
using deepspeed_variable = of<ctm::DeepSpeedVariable>;
using deepspeed_longformer = of<ctm::DeepSpeedLongformer>;
using deepspeed_big_bird = of<ctm::DeepSpeedBigBird>;
using deepspeed_big_bird_table = of<ctm::DeepSpeedBigBirdTable>;
template <class A, class B>
using and_ = ctm::Intersection<A, B>;
template <class A, class B>
using or_ = ctm::Union<A, B>;
template <class A>
using not_ = ctm::Complement<A>;
template <class A>
using transpose = ctm::Transposed<A>;
template <class A>
using shift = ctm::BoundShifted<A>;

} // namespace structure

// A mask whose numbers stay in its image: each question reads those of the definition that it gets to, and of no other,
// by Read::of<Plain>(address, offset). All parts have the address of the whole, which is one register then.
template <class Bound, class Read, ck_tile_masks::index_t kOffset>
class MaskImage;

namespace image {

using ck_tile_masks::index_t;

struct Pair {
    index_t first, second;
};

template <class Plain>
constexpr index_t size_of_bytes()
{
    static_assert(__is_trivially_copyable(Plain), "ck_fmha: an image holds plain bytes");
    return (static_cast<index_t>(sizeof(Plain)) + 15) / 16 * 16;
}

// kSize: of the image in bytes. read(at): the mask at `at` + kOffset, whose parts are images again.
template <class Bound, class Read, index_t kOffset>
struct Node {
    static constexpr index_t kSize = size_of_bytes<Bound>();
    CK_TILE_MASKS_HD static Bound read(const char* at) { return Read::template of<Bound>(at, kOffset); }
};
template <template <class, class> class Op, class A, class B, class Read, index_t kOffset>
struct BinaryNode {
    static constexpr index_t kFirst = size_of_bytes<Pair>(), kSecond = kFirst + Node<A, Read, 0>::kSize;
    static constexpr index_t kSize = kSecond + Node<B, Read, 0>::kSize;
    CK_TILE_MASKS_HD static auto read(const char* at)
    {
        using First = MaskImage<A, Read, kOffset + kFirst>;
        using Second = MaskImage<B, Read, kOffset + kSecond>;
        const Pair seqlens = Read::template of<Pair>(at, kOffset);
        return Op<First, Second>{{}, First(at), Second(at), seqlens.first, seqlens.second};
    }
};
template <class A, class B, class Read, index_t kOffset>
struct Node<ck_tile_masks::Intersection<A, B>, Read, kOffset>
    : BinaryNode<ck_tile_masks::Intersection, A, B, Read, kOffset> {};
template <class A, class B, class Read, index_t kOffset>
struct Node<ck_tile_masks::Union<A, B>, Read, kOffset> : BinaryNode<ck_tile_masks::Union, A, B, Read, kOffset> {};
template <template <class> class Op, class A, class Read, index_t kOffset>
struct UnaryNode {
    static constexpr index_t kSize = Node<A, Read, 0>::kSize;
    CK_TILE_MASKS_HD static auto read(const char* at)
    {
        using Part = MaskImage<A, Read, kOffset>;
        return Op<Part>{{}, Part(at)};
    }
};
template <class A, class Read, index_t kOffset>
struct Node<ck_tile_masks::Complement<A>, Read, kOffset> : UnaryNode<ck_tile_masks::Complement, A, Read, kOffset> {};
template <class A, class Read, index_t kOffset>
struct Node<ck_tile_masks::Transposed<A>, Read, kOffset> : UnaryNode<ck_tile_masks::Transposed, A, Read, kOffset> {};
template <class A, class Read, index_t kOffset>
struct Node<ck_tile_masks::BoundShifted<A>, Read, kOffset> {
    static constexpr index_t kFirst = size_of_bytes<Pair>(), kSize = kFirst + Node<A, Read, 0>::kSize;
    CK_TILE_MASKS_HD static auto read(const char* at)
    {
        using Part = MaskImage<A, Read, kOffset + kFirst>;
        const Pair shifts = Read::template of<Pair>(at, kOffset);
        return ck_tile_masks::BoundShifted<Part>{{}, Part(at), shifts.first, shifts.second};
    }
};

// Where nobody minds when it is read.
struct ReadAnyTime {
    template <class Plain>
    CK_TILE_MASKS_HD static Plain of(const char* at, index_t offset)
    {
        return load_uniform<Plain>(at + offset);
    }
};

// What is read of an image at once: a definition's numbers, or a combination of images.
template <class Bound>
using read_t = decltype(Node<Bound, ReadAnyTime, 0>::read(nullptr));
template <class Bound>
CK_TILE_MASKS_HD read_t<Bound> read(const char* at)
{
    return Node<Bound, ReadAnyTime, 0>::read(at);
}

} // namespace image

template <class Bound, class Read = image::ReadAnyTime, ck_tile_masks::index_t kOffset = 0>
class MaskImage : public ck_tile_masks::MaskDefABC<MaskImage<Bound, Read, kOffset>> {
    using index_t = ck_tile_masks::index_t;

public:
    CK_TILE_MASKS_HD explicit MaskImage(const char* at) : at_(at) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return Bound::get_name(); }
    CK_TILE_MASKS_HD bool exact() const { return mask().exact(); }
    CK_TILE_MASKS_HD bool mask_func(index_t i, index_t j) const { return mask().mask_func(i, j); }
    CK_TILE_MASKS_HD index_t next_live_col(index_t i0, index_t i1, index_t from) const
    {
        return mask().next_live_col(i0, i1, from);
    }
    CK_TILE_MASKS_HD index_t next_not_full_col(index_t i0, index_t i1, index_t from) const
    {
        return mask().next_not_full_col(i0, i1, from);
    }
    CK_TILE_MASKS_HD index_t next_live_row(index_t j0, index_t j1, index_t from) const
    {
        return mask().next_live_row(j0, j1, from);
    }
    CK_TILE_MASKS_HD index_t next_not_full_row(index_t j0, index_t j1, index_t from) const
    {
        return mask().next_not_full_row(j0, j1, from);
    }
    CK_TILE_MASKS_HD ck_tile_masks::bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return ck_tile_masks::row_bits(mask(), i, j0, count);
    }

private:
    CK_TILE_MASKS_HD auto mask() const { return image::Node<Bound, Read, kOffset>::read(at_); }

    const char* at_;
};

} // namespace ck_fmha::gpu
