// One step of a recurrent cell, from the recurrent product to its state and h: nothing else leaves the registers.
//
// A cell says
//   Cell::gates                     vectors of channels in a panel
//   Cell::step<Isa>(gates, state)   h of one vector of hidden units; updates the state (RecurrentStepArgs)
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

/// Rows whose h ranges are tracked at once; more rows are taken in blocks of this many.
constexpr std::size_t kStepRows = 64;

/// The range of one row; both ends are NaN if lo holds one.
template <class Isa>
BYTEGATE_INLINE RowRange step_range(typename Isa::F lo, typename Isa::F hi) {
  const float nan = Isa::reduce_add(lo * typename Isa::F(0.0f));  // 0 or NaN
  if (nan != nan) return {nan, nan};
  return {Isa::reduce_min(lo), Isa::reduce_max(hi)};
}

/// Of rows [first, last), at most kStepRows, lane by lane the range of the h values written so far.
template <class Isa>
class StepRanges {
 public:
  StepRanges(std::size_t first, std::size_t last) : first_(first), last_(last) {
    for (std::size_t i = 0; i < (last - first) * Isa::width; i += Isa::width) {
      Isa::store(lo_ + i, typename Isa::F(0.0f));
      Isa::store(hi_ + i, typename Isa::F(0.0f));
    }
  }

  BYTEGATE_INLINE float* lo_of(std::size_t row) { return lo_ + (row - first_) * Isa::width; }
  BYTEGATE_INLINE float* hi_of(std::size_t row) { return hi_ + (row - first_) * Isa::width; }

  BYTEGATE_INLINE void store(const RecurrentStepArgs& a) {
    if (!a.ranges) return;
    for (std::size_t row = first_; row < last_; ++row) {
      a.ranges[row] = step_range<Isa>(Isa::load(lo_of(row)), Isa::load(hi_of(row)));
    }
  }

 private:
  alignas(64) float lo_[kStepRows * Isa::width];
  alignas(64) float hi_[kStepRows * Isa::width];
  std::size_t first_, last_;
};

/// The panels of a step in the order that it takes them.
struct PanelSweep {
  std::size_t first, count, back;

  explicit BYTEGATE_INLINE PanelSweep(const RecurrentStepArgs& a)
      : first(a.descending ? a.panel_end - 1 : a.panel_begin),
        count(a.panel_end - a.panel_begin),
        back(a.descending ? ~std::size_t{0} : 0) {}

  BYTEGATE_INLINE std::size_t panel(std::size_t i) const { return first + ((i ^ back) - back); }
};

/// The gates of `rows` rows from `row` on and one panel: recurrent sums and input.
template <class Product, int rows, int gates>
BYTEGATE_INLINE void step_gates(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                typename Product::Isa::F (&out)[rows][gates]) {
  using Isa = typename Product::Isa;
  const std::size_t n = panel * gates * Isa::width;
  typename Product::template Tile<rows, gates> tile;
  tile.run(a.lhs, row, Product::template panel<gates>(a.rhs, panel), a.rhs);
  static_for<rows * gates>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int r = i / gates, v = i % gates;
    const float* input = a.input + (row + r) * a.input_stride + n + v * Isa::width;
    out[r][v] = tile.template value<r, v>(a.rhs, n + v * Isa::width, Isa::load(input));
  });
}

/// The same as a function of its own: inside a larger one, compilers run out of registers for the sums of many rows.
template <class Product, int rows, int gates>
__attribute__((noinline)) void step_gates_apart(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                                typename Product::Isa::F (&out)[rows][gates]) {
  step_gates<Product>(a, row, panel, out);
}

/// State and h of one row and panel; lo and hi are that row's.
template <class Isa, class Cell>
BYTEGATE_INLINE void step_unit(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                               const typename Isa::F (&gates)[Cell::gates], float* lo, float* hi) {
  using F = typename Isa::F;
  const std::size_t unit = panel * Isa::width;
  float* memory = a.state + row * a.state_stride + unit;
  F state = Isa::load(memory);
  const F h = Cell::template step<Isa>(gates, state);
  Isa::store(memory, state);
  float* out = a.h + row * a.h_stride + unit;
  if (unit + Isa::width <= a.units) {
    Isa::store(out, h);
  } else {
    Isa::store_first(out, h, a.units - unit);
  }
  // Makes NaN sticky in lo: min(h, lo) ignores a NaN in h, but h * 0 is then NaN and poisons the sum. A single unit can
  // be NaN, when the product of its scales overflows. Padding units have h = 0, or NaN in a row of NaN.
  Isa::store(lo, Isa::fma(h, F(0.0f), Isa::min(h, Isa::load(lo))));
  Isa::store(hi, Isa::max(h, Isa::load(hi)));
}

/// One row. The sums of several panels come before the activations of any: the accumulators are free then, and the
/// activations, each a long chain of dependent operations, overlap.
template <class Product, class Cell>
BYTEGATE_INLINE void step_one_row(const RecurrentStepArgs& a, std::size_t row, float* lo, float* hi) {
  using Isa = typename Product::Isa;
  constexpr std::size_t at_once = 2;
  const PanelSweep sweep(a);
  for (std::size_t i = 0; i < sweep.count; i += at_once) {
    const std::size_t count = sweep.count - i < at_once ? sweep.count - i : at_once;
    typename Isa::F gates[at_once][1][Cell::gates];
    for (std::size_t j = 0; j < count; ++j) step_gates<Product>(a, row, sweep.panel(i + j), gates[j]);
    for (std::size_t j = 0; j < count; ++j) step_unit<Isa, Cell>(a, row, sweep.panel(i + j), gates[j][0], lo, hi);
  }
}

template <class Product, class Cell>
void step_block(const RecurrentStepArgs& a, std::size_t first_row, std::size_t row_count) {
  using Isa = typename Product::Isa;
  using F = typename Isa::F;
  StepRanges<Isa> ranges(first_row, first_row + row_count);
  if (row_count == 1) {
    step_one_row<Product, Cell>(a, first_row, ranges.lo_of(first_row), ranges.hi_of(first_row));
  } else {
    // Two rows or more, as even as possible in tiles of at most three or more: none has one row.
    constexpr int least = Product::mr >= 3 ? 2 : 1;
    const PanelSweep sweep(a);
    for (std::size_t i = 0; i < sweep.count; ++i) {
      const std::size_t panel = sweep.panel(i);
      for_each_tile<Product::mr, least>(row_count, [&]<int rows>(std::size_t m) BYTEGATE_LAMBDA {
        F gates[rows][Cell::gates];
        step_gates_apart<Product>(a, first_row + m, panel, gates);
        for (std::size_t r = 0; r < rows; ++r) {
          const std::size_t row = first_row + m + r;
          step_unit<Isa, Cell>(a, row, panel, gates[r], ranges.lo_of(row), ranges.hi_of(row));
        }
      });
    }
  }
  ranges.store(a);
}

template <class Product, class Cell>
void recurrent_step(const RecurrentStepArgs* args) {
  const RecurrentStepArgs a = *args;
  for (std::size_t row = 0; row < a.lhs.rows; row += kStepRows) {
    step_block<Product, Cell>(a, row, a.lhs.rows - row < kStepRows ? a.lhs.rows - row : kStepRows);
  }
}

}  // namespace bytegate::kernels
