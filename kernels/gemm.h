// out = relu?(lhs * rhs^T + bias): int32 sums never reach memory.
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

template <class Product>
void gemm(const GemmArgs* args) {
  using Isa = typename Product::Isa;
  using F = typename Isa::F;
  constexpr std::size_t nr = 4 * Isa::width;
  const GemmArgs a = *args;
  const std::uint32_t floor_bits = a.relu ? 0u : 0xff800000u;  // of 0 or -infinity
  const std::size_t tiles = tile_count(a.lhs.rows, Product::mr);
  FetchNext next(a.next, a.next_bytes, a.panel_end - a.panel_begin, a.rhs.k_groups, tiles);
  for (std::size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const void* weights = Product::template panel<4>(a.rhs, panel);
    FetchAhead ahead(panel + 1 < a.panel_end ? Product::template panel<4>(a.rhs, panel + 1) : weights,
                     Product::template group_bytes<4>, tiles - next.tiles());
    const std::size_t n = panel * nr;
    std::size_t left = tiles;
    for_each_tile(a.lhs.rows, Product::mr, [&](std::size_t m, std::size_t height) BYTEGATE_LAMBDA {
      if (left-- <= next.tiles()) ahead = next.part();
      with_height<1, Product::mr>(height, [&]<int rows>() BYTEGATE_LAMBDA {
        typename Product::template Tile<rows, 4> tile;
        tile.run(a.lhs, m, weights, a.rhs, n, ahead);
        // max(floor, y) is y for every y if floor is -infinity; NaN, as the second operand, stays.
        const F floor = F(__builtin_bit_cast(float, computed_here(floor_bits)));
        static_for<4>([&]<int v>() BYTEGATE_LAMBDA {
          const std::size_t column = n + v * Isa::width;
          if (column >= a.n_out) return;
          const F bias = Isa::load(a.rhs.bias + column);
          static_for<rows>([&]<int r>() BYTEGATE_LAMBDA {
            const F y = Isa::max(floor, tile.template value<r, v>(a.rhs, column, bias));
            float* out = a.out + (m + r) * a.out_stride + column;
            if (column + Isa::width <= a.n_out) {
              Isa::store(out, y);
            } else {
              Isa::store_first(out, y, a.n_out - column);
            }
          });
        });
      });
    });
  }
}

}  // namespace bytegate::kernels
