#pragma once

namespace ck_tile {

template <bool kIsDropout_, bool kIsWG32_, bool kIsStoreRandval_>
struct BlockDropoutBwd {
    static constexpr bool IsDropout = kIsDropout_;
};

} // namespace ck_tile
