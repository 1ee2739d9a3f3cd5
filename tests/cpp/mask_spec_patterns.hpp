#pragma once

// Specs of the patterns of positions that mask_spec.hpp does not have: Sparse Transformer and neighbourhoods.

#include "ck_tile_masks/masks/fixed.hpp"
#include "ck_tile_masks/masks/neighborhood.hpp"
#include "ck_tile_masks/masks/strided.hpp"
#include "mask_spec.hpp"

namespace mask_tests {

inline Spec<ck_tile_masks::Strided> strided(index_t local, index_t stride)
{
    return {{local, stride}, {text("strided(local ", local, ", stride ", stride, ")"), strided_oracle(local, stride)}};
}

inline Spec<ck_tile_masks::Fixed> fixed(index_t local, index_t summary)
{
    return {{local, summary}, {text("fixed(local ", local, ", summary ", summary, ")"), fixed_oracle(local, summary)}};
}

inline Spec<ck_tile_masks::Neighborhood> neighborhood(const std::vector<GridAxis>& grid, bool clip = false)
{
    using namespace ck_tile_masks;
    NeighborhoodAxis axes[3];
    std::string name = "neighborhood(";
    for (std::size_t n = 0; n < grid.size(); ++n) {
        axes[n].size = grid[n].size;
        axes[n].window = grid[n].window;
        axes[n].dilation = grid[n].dilation;
        axes[n].causal = grid[n].causal;
        name += text(n > 0 ? ", " : "", "[size ", grid[n].size, ", window ", grid[n].window, ", dilation ",
                     grid[n].dilation, grid[n].causal ? ", causal]" : "]");
    }
    name += clip ? ", clip)" : ", shift)";
    return {Neighborhood(index_t(grid.size()), axes, clip ? Border::clip : Border::shift),
            {name, neighborhood_oracle(grid, clip)}};
}

} // namespace mask_tests
