#pragma once

#include "ck_tile_masks/index.hpp"

namespace ck_fmha::gpu {

// Plain bytes that are the same for all lanes and that no kernel writes: on AMD they come through the scalar cache into
// scalar registers. The address is a multiple of 4.
template <class Plain>
CK_TILE_MASKS_HD Plain load_uniform(const void* at)
{
    if constexpr (__is_empty(Plain)) return Plain{};
#if defined(__AMDGCN__)
    else {
        static_assert(sizeof(Plain) % 4 == 0, "ck_fmha: scalar loads move dwords");
        using Constant = const __attribute__((address_space(4))) unsigned*;
        struct Words {
            unsigned word[sizeof(Plain) / 4];
        } words;
        const Constant from = (Constant)at; // NOLINT: only a C cast crosses address spaces
        for (unsigned n = 0; n < sizeof(Plain) / 4; ++n)
            words.word[n] = from[n];
        return __builtin_bit_cast(Plain, words);
    }
#else
    return *static_cast<const Plain*>(at);
#endif
}

} // namespace ck_fmha::gpu
