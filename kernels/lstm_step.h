// One LSTM step, from the recurrent product to c and h: nothing else leaves the registers.
#pragma once

#include "kernels/activations.h"
#include "kernels/product.h"

namespace bytegate::kernels {

/// Rows whose h ranges are tracked at once; more rows are taken in blocks of this many.
constexpr std::size_t kStepRows = 64;

template <class Isa, class Product>
void lstm_step_block(const LstmStepArgs& a, std::size_t first_row, std::size_t row_count) {
  using F = typename Isa::F;
  constexpr std::size_t w = Isa::width;
  alignas(64) float lo[kStepRows * w], hi[kStepRows * w];
  for (std::size_t i = 0; i < row_count * w; i += w) {
    Isa::store(lo + i, Isa::set(0.0f));
    Isa::store(hi + i, Isa::set(0.0f));
  }
  for (std::size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const char* weights = panel_of<Product>(a.rhs, panel);
    const std::size_t n = panel * 4 * w, unit = panel * w;
    for_each_tile<Product::mr>(row_count, [&]<int rows>(std::size_t tile_row) BYTEGATE_LAMBDA {
      // The gates of all rows before the activations of any: the accumulators are free then, and the loop over rows is not unrolled.
      F gates[rows][4];
      {
        typename Product::template Tile<rows> tile;
        tile.run(a.lhs, first_row + tile_row, weights, a.rhs);
        unrolled<rows * 4>([&]<int i>() BYTEGATE_LAMBDA {
          constexpr int r = i / 4, v = i % 4;
          const float* input = a.gates + (first_row + tile_row + r) * a.gates_stride + n + v * w;
          gates[r][v] = tile.template value<r, v>(a.rhs, n + v * w, Isa::load(input));
        });
      }
      for (std::size_t r = 0; r < rows; ++r) {
        const std::size_t row = first_row + tile_row + r;
        const F i = sigmoid<Isa>(gates[r][0]);
        const F f = sigmoid<Isa>(gates[r][1]);
        const F g = tanh<Isa>(gates[r][2]);
        const F o = sigmoid<Isa>(gates[r][3]);
        float* cell = a.c + row * a.c_stride + unit;
        const F c = Isa::fma(f, Isa::load(cell), Isa::mul(i, g));
        const F h = Isa::mul(o, tanh<Isa>(c));
        Isa::store(cell, c);
        float* out = a.h + row * a.h_stride + unit;
        if (unit + w <= a.units) {
          Isa::store(out, h);
        } else {
          Isa::store_first(out, h, a.units - unit);
        }
        // min and max return their second operand for NaN. A row that holds NaN holds nothing else (its scale is NaN), so the last
        // vector shows it; padding units of other rows have h = 0.
        float* row_lo = lo + (tile_row + r) * w;
        float* row_hi = hi + (tile_row + r) * w;
        Isa::store(row_lo, Isa::min(Isa::load(row_lo), h));
        Isa::store(row_hi, Isa::max(Isa::load(row_hi), h));
      }
    });
  }
  if (!a.ranges) return;
  for (std::size_t r = 0; r < row_count; ++r) {
    a.ranges[first_row + r] = {Isa::reduce_min(Isa::load(lo + r * w)), Isa::reduce_max(Isa::load(hi + r * w))};
  }
}

template <class Isa, class Product>
void lstm_step(const LstmStepArgs* args) {
  const LstmStepArgs a = *args;
  for (std::size_t row = 0; row < a.lhs.rows; row += kStepRows) {
    lstm_step_block<Isa, Product>(a, row, a.lhs.rows - row < kStepRows ? a.lhs.rows - row : kStepRows);
  }
}

}  // namespace bytegate::kernels
