#pragma once

#include <ck_tile/core.hpp>

namespace ck_tile {

template <class AccDataType_, class ODataType_, bool kPadM_, bool kPadN_>
struct Default2DEpilogueProblem {
    using AccDataType = AccDataType_;
    using ODataType = ODataType_;
};

template <class Problem>
struct Default2DEpilogue {
    using ODataType = typename Problem::ODataType;
    CK_TILE_HOST_DEVICE static ODataType convert(float x) { return FromFloat<ODataType>::convert(x); }
};

} // namespace ck_tile
