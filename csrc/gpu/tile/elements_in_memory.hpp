#pragma once

#include "gpu/kernel/extras_args.hpp"
#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// How an element lies in memory, as a number of `Bits`, and its value.
template <class Element>
struct StoredElement {
    using Bits = unsigned short;
    CK_FMHA_DEVICE static float value(Bits bits) { return to_float<Element>(bits); }
    CK_FMHA_DEVICE static Bits bits(float value) { return round_to<Element>(value); }
};
template <>
struct StoredElement<float> {
    using Bits = unsigned;
    CK_FMHA_DEVICE static float value(Bits bits) { return __builtin_bit_cast(float, bits); }
    CK_FMHA_DEVICE static Bits bits(float value) { return __builtin_bit_cast(unsigned, value); }
};
template <>
struct StoredElement<bool> {
    using Bits = unsigned char;
    CK_FMHA_DEVICE static bool value(Bits bits) { return bits != 0; }
};

// A lane's elements of a tile of a tensor (batch, num_heads, seqlen_q, seqlen_k) with any strides. They are counted
// from the lane's first one; what lies outside of the tensor reads as zero and is not written.
template <class Element>
class ElementsInMemory {
    using Stored = StoredElement<Element>;

public:
    // `queries`, `keys`: how many of the tile there are from its first on; query, key: where the lane's first is there.
    CK_FMHA_DEVICE ElementsInMemory(const ScoresTensor& t, index_t batch, index_t head, index_t first_query,
                                    index_t first_key, index_t queries, index_t keys, index_t query, index_t key)
        : buffer_(t.data + (batch * t.stride_batch + head * t.stride_head + first_query * t.stride_q +
                            first_key * t.stride_k) *
                               kSize,
                  0x7fffffff),
          stride_q_(static_cast<index_t>(t.stride_q) * kSize),
          stride_k_(static_cast<index_t>(t.stride_k) * kSize),
          last_query_(of_lane_anew(queries - query - 1)), // else what comes of them is kept for another tensor
          last_key_(of_lane_anew(keys - key - 1)),
          offset_(query * stride_q_ + key * stride_k_)
    {
    }

    template <index_t kQuery, index_t kKey>
    CK_FMHA_DEVICE auto load(Constant<kQuery>, Constant<kKey>) const
    {
        return Stored::value(buffer_.load_one(typename Stored::Bits{}, place(kQuery, kKey), beyond(kQuery, kKey)));
    }
    template <index_t kQuery, index_t kKey>
    CK_FMHA_DEVICE void store(Constant<kQuery>, Constant<kKey>, float value) const
    {
        buffer_.store_one(Stored::bits(value), place(kQuery, kKey), beyond(kQuery, kKey));
    }
    template <index_t kQuery, index_t kKey>
    CK_FMHA_DEVICE void add(Constant<kQuery>, Constant<kKey>, float value) const
    {
        buffer_.add_one(value, place(kQuery, kKey), beyond(kQuery, kKey));
    }
    CK_FMHA_DEVICE bool holds(index_t query, index_t key) const { return query <= last_query_ && key <= last_key_; }

private:
    static constexpr index_t kSize = sizeof(typename Stored::Bits);

    // Without a condition, which would take scalar registers for each of a tile's elements.
    CK_FMHA_DEVICE index_t place(index_t query, index_t key) const
    {
        return offset_ | (((last_query_ - query) | (last_key_ - key)) & Buffer::kOutside);
    }
    CK_FMHA_DEVICE index_t beyond(index_t query, index_t key) const { return query * stride_q_ + key * stride_k_; }

    Buffer buffer_;
    index_t stride_q_; // in bytes
    index_t stride_k_;
    index_t last_query_;
    index_t last_key_;
    index_t offset_; // of the lane's first element, in bytes
};

} // namespace ck_fmha::gpu
