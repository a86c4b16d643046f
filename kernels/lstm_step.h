// One LSTM step, from the recurrent product to c and h: nothing else leaves the registers.
#pragma once

#include "kernels/activations.h"
#include "kernels/product.h"

namespace bytegate::kernels {

/// Rows whose h ranges are tracked at once; more rows are taken in blocks of this many.
constexpr std::size_t kStepRows = 64;

/// Per row, lane by lane, the range of the h values written so far.
template <class Isa>
struct StepRanges {
  alignas(64) float lo[kStepRows * Isa::width];
  alignas(64) float hi[kStepRows * Isa::width];
};

/// The gates' sums of `rows` rows from `row` on and one panel, input product added.
template <class Isa, class Product, int rows>
BYTEGATE_INLINE void step_gates(const LstmStepArgs& a, std::size_t row, std::size_t panel, typename Isa::F (&gates)[rows][4]) {
  const std::size_t n = panel * 4 * Isa::width;
  typename Product::template Tile<rows> tile;
  tile.run(a.lhs, row, panel_of<Product>(a.rhs, panel), a.rhs);
  unrolled<rows * 4>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int r = i / 4, v = i % 4;
    const float* input = a.gates + (row + r) * a.gates_stride + n + v * Isa::width;
    gates[r][v] = tile.template value<r, v>(a.rhs, n + v * Isa::width, Isa::load(input));
  });
}

/// The same as a function of its own: inside a larger one, compilers run out of registers for the sums of many rows.
template <class Isa, class Product, int rows>
__attribute__((noinline)) void step_gates_apart(const LstmStepArgs& a, std::size_t row, std::size_t panel, typename Isa::F (&gates)[rows][4]) {
  step_gates<Isa, Product, rows>(a, row, panel, gates);
}

/// c and h of one row and panel; lo and hi are that row's.
template <class Isa>
BYTEGATE_INLINE void step_unit(const LstmStepArgs& a, std::size_t row, std::size_t panel, const typename Isa::F (&gates)[4], float* lo, float* hi) {
  using F = typename Isa::F;
  const std::size_t unit = panel * Isa::width;
  const F i = sigmoid<Isa>(gates[0]);
  const F f = sigmoid<Isa>(gates[1]);
  const F g = tanh<Isa>(gates[2]);
  const F o = sigmoid<Isa>(gates[3]);
  float* cell = a.c + row * a.c_stride + unit;
  const F c = Isa::fma(f, Isa::load(cell), Isa::mul(i, g));
  const F h = Isa::mul(o, tanh<Isa>(c));
  Isa::store(cell, c);
  float* out = a.h + row * a.h_stride + unit;
  if (unit + Isa::width <= a.units) {
    Isa::store(out, h);
  } else {
    Isa::store_first(out, h, a.units - unit);
  }
  // A NaN sticks to lo: min returns its second operand, lo, for NaN, and h * 0 is 0 or NaN. It may be one unit's alone, where the product
  // of two scales is no float. Padding units have h = 0, or NaN in a row of NaN.
  Isa::store(lo, Isa::fma(h, Isa::set(0.0f), Isa::min(h, Isa::load(lo))));
  Isa::store(hi, Isa::max(h, Isa::load(hi)));
}

/// The range of one row; both ends are NaN if lo holds one.
template <class Isa>
BYTEGATE_INLINE RowRange step_range(typename Isa::F lo, typename Isa::F hi) {
  const float nan = Isa::reduce_add(Isa::mul(lo, Isa::set(0.0f)));  // 0 or NaN
  if (nan != nan) return {nan, nan};
  return {Isa::reduce_min(lo), Isa::reduce_max(hi)};
}

/// The sums of several tiles come before the activations of any: the accumulators are free then, and the activations, each a long chain of
/// dependent operations, overlap.
template <class Isa, class Product>
void lstm_step_block(const LstmStepArgs& a, std::size_t first_row, std::size_t row_count) {
  using F = typename Isa::F;
  constexpr std::size_t w = Isa::width, panels_at_once = 2;
  StepRanges<Isa> ranges;
  for (std::size_t i = 0; i < row_count * w; i += w) {
    Isa::store(ranges.lo + i, Isa::set(0.0f));
    Isa::store(ranges.hi + i, Isa::set(0.0f));
  }
  if (row_count == 1) {
    for (std::size_t panel = a.panel_begin; panel < a.panel_end;) {
      const std::size_t count = a.panel_end - panel < panels_at_once ? a.panel_end - panel : panels_at_once;
      F gates[panels_at_once][1][4];
      for (std::size_t j = 0; j < count; ++j) step_gates<Isa, Product, 1>(a, first_row, panel + j, gates[j]);
      for (std::size_t j = 0; j < count; ++j) step_unit<Isa>(a, first_row, panel + j, gates[j][0], ranges.lo, ranges.hi);
      panel += count;
    }
  } else {
    for (std::size_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
      for_each_tile<Product::mr>(row_count, [&]<int rows>(std::size_t m) BYTEGATE_LAMBDA {
        F gates[rows][4];
        step_gates_apart<Isa, Product, rows>(a, first_row + m, panel, gates);
        for (std::size_t r = 0; r < rows; ++r) {
          step_unit<Isa>(a, first_row + m + r, panel, gates[r], ranges.lo + (m + r) * w, ranges.hi + (m + r) * w);
        }
      });
    }
  }
  if (!a.ranges) return;
  for (std::size_t r = 0; r < row_count; ++r) {
    a.ranges[first_row + r] = step_range<Isa>(Isa::load(ranges.lo + r * w), Isa::load(ranges.hi + r * w));
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
