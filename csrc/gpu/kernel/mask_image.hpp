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

// Reads the parts of an image one after the other.
class MaskImage {
public:
    CK_TILE_MASKS_HD explicit MaskImage(const char* at) : at_(at) {}

    template <class Bound>
    CK_TILE_MASKS_HD Bound read()
    {
        return Reader<Bound>::read(*this);
    }

private:
    struct Pair {
        ck_tile_masks::index_t first, second;
    };

    template <class Plain>
    CK_TILE_MASKS_HD Plain bytes()
    {
        static_assert(__is_trivially_copyable(Plain), "ck_fmha: an image holds plain bytes");
        const char* plain = at_;
        at_ += (sizeof(Plain) + 15) / 16 * 16;
        return load_uniform<Plain>(plain);
    }

    template <class Bound>
    struct Reader {
        CK_TILE_MASKS_HD static Bound read(MaskImage& image) { return image.bytes<Bound>(); }
    };
    template <template <class, class> class Op, class A, class B>
    struct Binary {
        CK_TILE_MASKS_HD static Op<A, B> read(MaskImage& image)
        {
            const Pair seqlens = image.bytes<Pair>();
            const A a = image.read<A>();
            const B b = image.read<B>();
            return {{}, a, b, seqlens.first, seqlens.second};
        }
    };
    template <class A, class B>
    struct Reader<ck_tile_masks::Intersection<A, B>> : Binary<ck_tile_masks::Intersection, A, B> {};
    template <class A, class B>
    struct Reader<ck_tile_masks::Union<A, B>> : Binary<ck_tile_masks::Union, A, B> {};
    template <class A>
    struct Reader<ck_tile_masks::Complement<A>> {
        CK_TILE_MASKS_HD static ck_tile_masks::Complement<A> read(MaskImage& image) { return {{}, image.read<A>()}; }
    };
    template <class A>
    struct Reader<ck_tile_masks::Transposed<A>> {
        CK_TILE_MASKS_HD static ck_tile_masks::Transposed<A> read(MaskImage& image) { return {{}, image.read<A>()}; }
    };
    template <class A>
    struct Reader<ck_tile_masks::BoundShifted<A>> {
        CK_TILE_MASKS_HD static ck_tile_masks::BoundShifted<A> read(MaskImage& image)
        {
            const Pair shifts = image.bytes<Pair>();
            return {{}, image.read<A>(), shifts.first, shifts.second};
        }
    };

    const char* at_;
};

} // namespace ck_fmha::gpu
