// out = relu?(lhs * rhs^T + bias): int32 sums never reach memory.
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

template <class Isa, class Product>
void gemm(const GemmArgs* args) {
  using F = typename Isa::F;
  constexpr std::size_t nr = 4 * Isa::width;
  const GemmArgs a = *args;
  for (std::size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const char* weights = panel_of<Product>(a.rhs, panel);
    const std::size_t n = panel * nr;
    for_each_tile<Product::mr>(a.lhs.rows, [&]<int rows>(std::size_t m) BYTEGATE_LAMBDA {
      typename Product::template Tile<rows> tile;
      tile.run(a.lhs, m, weights, a.rhs);
      unrolled<4>([&]<int v>() BYTEGATE_LAMBDA {
        const std::size_t column = n + v * Isa::width;
        if (column >= a.n_out) return;
        const F bias = Isa::load(a.rhs.bias + column);
        unrolled<rows>([&]<int r>() BYTEGATE_LAMBDA {
          F y = tile.template value<r, v>(a.rhs, column, bias);
          if (a.relu) y = Isa::max(Isa::set(0.0f), y);  // NaN, as the second operand, stays
          float* out = a.out + (m + r) * a.out_stride + column;
          if (column + Isa::width <= a.n_out) {
            Isa::store(out, y);
          } else {
            Isa::store_first(out, y, a.n_out - column);
          }
        });
      });
    });
  }
}

}  // namespace bytegate::kernels
