// One step of a recurrent cell, from the recurrent product to its state and h: nothing else leaves the registers.
//
// A cell says
//   Cell::gates                      vectors of channels in a panel
//   Cell::input_gates, first_gate    vectors of a panel in the input product, and the first of them that is this cell's
//   Cell::own_bias                   the first gate whose sum is that of the product and of rhs.bias; the sums before
//                                    hold the input instead
//   Cell::has_state                  whether it uses the state
//   Cell::open<Isa>(gates, memory, half_way)
//                                    what it knows half way of a vector of hidden units, from its gates before their
//                                    activation
//   Cell::close<Isa>(half_way, memory)
//                                    h; together they read and update the state (RecurrentStepArgs)
#pragma once

#include "kernels/cell.h"
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
  /// From a panel to the next; that of a descending sweep wraps.
  BYTEGATE_INLINE std::size_t step() const { return back | 1; }
};

/// The sums of `rows` rows from `row` on and one panel. `input`: of the first row and the panel's first gate.
template <class Product, int rows, int gates, int own_bias>
BYTEGATE_INLINE void step_gates(const RecurrentStepArgs& a, std::size_t row, std::size_t panel, const float* input,
                                typename Product::Isa::F (*out)[gates]) {
  using Isa = typename Product::Isa;
  const std::size_t n = panel * gates * Isa::width;
  typename Product::template Tile<rows, gates> tile;
  tile.run(a.lhs, row, Product::template panel<gates>(a.rhs, panel), a.rhs);
  static_for<rows * gates>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int r = i / gates, v = i % gates;
    const float* addend = v < own_bias ? input + r * a.input_stride + v * Isa::width : a.rhs.bias + n + v * Isa::width;
    out[r][v] = tile.template value<r, v>(a.rhs, n + v * Isa::width, Isa::load(addend));
  });
}

/// The same as a function of its own: inside a larger one, compilers run out of registers for the sums of many rows.
template <class Product, int rows, int gates, int own_bias>
__attribute__((noinline)) void step_gates_apart(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                                const float* input, typename Product::Isa::F (*out)[gates]) {
  step_gates<Product, rows, gates, own_bias>(a, row, panel, input, out);
}

/// The input of a row and panel, from the cell's first gate on.
template <class Isa, class Cell>
BYTEGATE_INLINE float* step_input(const RecurrentStepArgs& a, std::size_t row, std::size_t panel) {
  return a.input + row * a.input_stride + (panel * Cell::input_gates + Cell::first_gate) * Isa::width;
}

/// One of some vectors of hidden units: rows of one panel, or panels of one row, whose ranges are then the same.
struct StepUnit {
  std::size_t row, panel;
  float *lo, *hi;  ///< of the row

  BYTEGATE_INLINE void advance(std::size_t rows, std::size_t panels, std::size_t width) {
    row += rows;
    panel += panels;
    lo += rows * width;
    hi += rows * width;
  }
};

/// h to memory and its row's range.
template <class Isa>
BYTEGATE_INLINE void store_h(const RecurrentStepArgs& a, const StepUnit& at, typename Isa::F h) {
  const std::size_t unit = at.panel * Isa::width;
  float* out = a.h + at.row * a.h_stride + unit;
  if (unit + Isa::width <= a.units) {
    Isa::store(out, h);
  } else {
    Isa::store_first(out, h, a.units - unit);
  }
  // Makes NaN sticky in lo: min(h, lo) ignores a NaN in h, but h * 0 is then NaN and poisons the sum. A single unit can
  // be NaN, when the product of its scales overflows. Padding units have h = 0, or NaN in a row of NaN.
  Isa::store(at.lo, Isa::fma(h, typename Isa::F(0.0f), Isa::min(h, Isa::load(at.lo))));
  Isa::store(at.hi, Isa::max(h, Isa::load(at.hi)));
}

/// State and h of `count` units, at least one, from their gates. A unit opens before the one in front of it closes:
/// each is one chain of dependent operations. A function of its own, since that of each tile height would hold a copy;
/// the numbers must not be known to the compiler, which would make one for each.
template <class Isa, class Cell>
__attribute__((noinline)) void step_units(const RecurrentStepArgs& a, StepUnit unit, std::size_t rows_between,
                                          std::size_t panels_between, const typename Isa::F (*gates)[Cell::gates],
                                          std::size_t count) {
  StepUnit opened_unit = unit;
  StepMemory memory{}, opened_memory{};
  const typename Isa::F zero = typename Isa::F(0.0f);
  typename Isa::F next[kHalfWay] = {zero, zero, zero}, opened[kHalfWay] = {zero, zero, zero};
  for (std::size_t i = 0;; ++i) {
    if (i < count) {
      memory = {step_input<Isa, Cell>(a, unit.row, unit.panel),
                Cell::has_state ? a.state + unit.row * a.state_stride + unit.panel * Isa::width : nullptr, a.relu != 0};
      Cell::template open<Isa>(gates[i], memory, next);
    }
    if (i > 0) {
      store_h<Isa>(a, opened_unit, Cell::template close<Isa>(opened, opened_memory));
      if (i >= count) return;
    }
    static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened[v] = next[v]; });
    opened_memory = memory;
    opened_unit = unit;
    unit.advance(rows_between, panels_between, Isa::width);
  }
}

/// One row. The sums of several panels come before the activations of any: the accumulators are free then, and the
/// activations, each a long chain of dependent operations, overlap.
template <class Product, class Cell>
BYTEGATE_INLINE void step_one_row(const RecurrentStepArgs& a, std::size_t row, float* lo, float* hi) {
  using Isa = typename Product::Isa;
  constexpr std::size_t at_once = 4;
  const PanelSweep sweep(a);
  for (std::size_t i = 0; i < sweep.count; i += at_once) {
    const std::size_t count = sweep.count - i < at_once ? sweep.count - i : at_once;
    typename Isa::F gates[at_once][Cell::gates];
    for (std::size_t j = 0; j < count; ++j) {
      const std::size_t panel = sweep.panel(i + j);
      step_gates<Product, 1, Cell::gates, Cell::own_bias>(a, row, panel, step_input<Isa, Cell>(a, row, panel),
                                                          gates + j);
    }
    step_units<Isa, Cell>(a, {row, sweep.panel(i), lo, hi}, computed_here(std::size_t{0}), sweep.step(), gates,
                          computed_here(count));
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
        const std::size_t row = first_row + m;
        step_gates_apart<Product, rows, Cell::gates, Cell::own_bias>(a, row, panel,
                                                                     step_input<Isa, Cell>(a, row, panel), gates);
        step_units<Isa, Cell>(a, {row, panel, ranges.lo_of(row), ranges.hi_of(row)}, computed_here(std::size_t{1}), 0,
                              gates, computed_here(std::size_t{rows}));
      });
    }
  }
  ranges.store(a);
}

template <class Product, class Cell>
void recurrent_step(const RecurrentStepArgs* args) {
  const RecurrentStepArgs& a = *args;
  for (std::size_t row = 0; row < a.lhs.rows; row += kStepRows) {
    step_block<Product, Cell>(a, row, a.lhs.rows - row < kStepRows ? a.lhs.rows - row : kStepRows);
  }
}

}  // namespace bytegate::kernels
