#pragma once

#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// One number for each of the queries that a lane holds scores of.
template <index_t kQueries>
struct PerQuery {
    static constexpr index_t kCount = kQueries;
    float of_query[kQueries];

    CK_FMHA_DEVICE static PerQuery all(float value)
    {
        PerQuery x;
        unroll<kQueries>([&](auto n) { x[n] = value; });
        return x;
    }
    CK_FMHA_DEVICE float operator[](index_t n) const { return of_query[n]; }
    CK_FMHA_DEVICE float& operator[](index_t n) { return of_query[n]; }
};

} // namespace ck_fmha::gpu
