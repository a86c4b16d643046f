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
#include "kernels/range.h"

namespace bytegate::kernels {

/// Rows whose h ranges are tracked at once; more rows are taken in blocks of this many.
constexpr std::size_t kStepRows = 64;

/// Of rows [first, last), at most kStepRows, the ranges of the h values written so far.
template <class Isa>
class StepRanges {
 public:
  StepRanges(std::size_t first, std::size_t last) : first_(first), last_(last) {
    for (std::size_t row = first; row < last; ++row) of(row) = LaneRanges<Isa>();
  }

  BYTEGATE_INLINE LaneRanges<Isa>& of(std::size_t row) { return rows_[row - first_]; }

  BYTEGATE_INLINE void store(const RecurrentStepArgs& a) {
    if (!a.ranges) return;
    for (std::size_t row = first_; row < last_; ++row) a.ranges[row] = of(row).range();
  }

 private:
  union {
    LaneRanges<Isa> rows_[kStepRows];  ///< in a union: those that are used are constructed
  };
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

/// What is added to the sums of a gate. input: of the row and the panel's first gate; channel: the gate's first.
template <class Isa, class Cell, int gate>
BYTEGATE_INLINE typename Isa::F step_addend(const RecurrentStepArgs& a, const float* input, std::size_t channel) {
  return Isa::load(gate < Cell::own_bias ? input + gate * Isa::width : a.rhs.bias + channel);
}

/// The sums of `rows` rows from `row` on and one panel, or of one row and `panels`. `input`: of the first row and the
/// panel's first gate.
template <class Product, class Cell, int rows, int panels = 1>
BYTEGATE_INLINE void step_gates(const RecurrentStepArgs& a, std::size_t row, std::size_t panel, const float* input,
                                FetchAhead& ahead, typename Product::Isa::F (*out)[Cell::gates]) {
  using Isa = typename Product::Isa;
  constexpr int gates = Cell::gates;
  const std::size_t n = panel * gates * Isa::width;
  typename Product::template Tile<rows, gates * panels> tile;
  tile.run(a.lhs, row, Product::template panel<gates>(a.rhs, panel), a.rhs, n, ahead);
  static_for<rows * panels * gates>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int r = i / gates / panels, p = i / gates % panels, gate = i % gates, v = p * gates + gate;
    const std::size_t channel = n + v * Isa::width;
    const auto addend =
        step_addend<Isa, Cell, gate>(a, input + r * a.input_stride + p * Cell::input_gates * Isa::width, channel);
    out[r * panels + p][gate] = tile.template value<r, v>(a.rhs, channel, addend);
  });
}

/// The same as a function of its own: inside a larger one, compilers run out of registers for the sums of many rows.
template <class Product, class Cell, int rows>
__attribute__((noinline)) void step_gates_apart(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                                const float* input, FetchAhead& ahead,
                                                typename Product::Isa::F (*out)[Cell::gates]) {
  FetchAhead own = ahead;
  step_gates<Product, Cell, rows>(a, row, panel, input, own, out);
  ahead = own;
}

/// The input of a row and panel, from the cell's first gate on.
template <class Isa, class Cell>
BYTEGATE_INLINE float* step_input(const RecurrentStepArgs& a, std::size_t row, std::size_t panel) {
  return a.input + row * a.input_stride + (panel * Cell::input_gates + Cell::first_gate) * Isa::width;
}

/// A vector of hidden units: of one row and panel.
template <class Isa>
struct StepUnit {
  std::size_t row, panel;
  LaneRanges<Isa>* range;  ///< of the row
};

/// h to memory and its row's range.
template <class Isa>
BYTEGATE_INLINE void store_h(const RecurrentStepArgs& a, const StepUnit<Isa>& at, typename Isa::F h) {
  const std::size_t unit = at.panel * Isa::width;
  float* out = a.h + at.row * a.h_stride + unit;
  if (unit + Isa::width <= a.units) {
    Isa::store(out, h);
  } else {
    Isa::store_first(out, h, a.units - unit);
  }
  at.range->take(h);
}

/// Units and their gates, taken together: the activations of one, chains of dependent operations, overlap with those of
/// the next.
template <class Isa, class Cell>
struct StepUnits {
  static constexpr std::size_t capacity = Isa::width > 8 ? Isa::width : 8;
  std::size_t count = 0;
  StepUnit<Isa> units[capacity];
  typename Isa::F gates[capacity][Cell::gates];
};

/// State and h of at least one unit. A unit opens before the one in front of it closes. A function of its own, since
/// that of each tile height would hold a copy.
template <class Isa, class Cell>
__attribute__((noinline)) void step_units(const RecurrentStepArgs& a, const StepUnits<Isa, Cell>& of) {
  StepMemory memory{}, opened_memory{};
  const typename Isa::F zero = typename Isa::F(0.0f);
  typename Isa::F next[kHalfWay] = {zero, zero, zero}, opened[kHalfWay] = {zero, zero, zero};
  for (std::size_t i = 0;; ++i) {
    if (i < of.count) {
      const StepUnit<Isa>& unit = of.units[i];
      memory = {step_input<Isa, Cell>(a, unit.row, unit.panel),
                Cell::has_state ? a.state + unit.row * a.state_stride + unit.panel * Isa::width : nullptr, a.relu != 0};
      Cell::template open<Isa>(of.gates[i], memory, next);
    }
    if (i > 0) {
      store_h<Isa>(a, of.units[i - 1], Cell::template close<Isa>(opened, opened_memory));
      if (i >= of.count) return;
    }
    static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened[v] = next[v]; });
    opened_memory = memory;
  }
}

/// Rows [first_row, first_row + row_count), at most kStepRows.
template <class Product, class Cell>
void step_block(const RecurrentStepArgs& a, std::size_t first_row, std::size_t row_count) {
  using Isa = typename Product::Isa;
  using Units = StepUnits<Isa, Cell>;
  const PanelSweep sweep(a);
  const std::size_t panel_size = a.rhs.k * Cell::gates * Isa::width;  // in weights
  // Of one row, some: while their activations are computed, the weights of the next are on their way to L1. For the
  // same reason no more than a tile of several rows, unless about all weights are in L1 already.
  constexpr std::size_t of_one_row = Isa::width > 8 ? 4 : 8, about_l1 = 65536;
  const std::size_t of_rows = sweep.count * panel_size <= about_l1 ? Units::capacity : Product::mr;
  const std::size_t at_once = row_count == 1 ? of_one_row : of_rows;
  StepRanges<Isa> ranges(first_row, first_row + row_count);
  Units units;
  const std::size_t tiles = tile_count<Product::mr>(row_count);
  FetchAhead ahead;
  const auto take = [&]<int rows, int panels>(std::size_t row, std::size_t panel) BYTEGATE_LAMBDA {
    if (units.count + rows * panels > at_once) {
      step_units(a, units);
      units.count = 0;
    }
    const float* input = step_input<Isa, Cell>(a, row, panel);
    const auto gates = units.gates + units.count;
    if constexpr (rows == 1) {
      step_gates<Product, Cell, 1, panels>(a, row, panel, input, ahead, gates);
    } else {
      step_gates_apart<Product, Cell, rows>(a, row, panel, input, ahead, gates);
    }
    static_for<rows * panels>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int r = i / panels, p = i % panels;
      units.units[units.count + i] = {row + r, panel + p, &ranges.of(row + r)};
    });
    units.count += rows * panels;
  };
  for (std::size_t i = 0; i < sweep.count; ++i) {
    const std::size_t panel = sweep.panel(i);
    if (row_count == 1) {
      // Two panels share the loads of activations. The weights of larger ones are not in L1 and come faster one by one.
      if constexpr (Cell::gates >= 3 && Product::template joins_panels<Cell::gates>) {
        if (i + 1 < sweep.count && panel_size <= about_l1 / 4) {
          take.template operator()<1, 2>(first_row, a.descending ? panel - 1 : panel);
          ++i;
          continue;
        }
      }
      take.template operator()<1, 1>(first_row, panel);
    } else {
      // As even as possible in tiles of at most three or more: none has one row.
      constexpr int least = Product::mr >= 3 ? 2 : 1;
      ahead = FetchAhead(Product::template panel<Cell::gates>(a.rhs, sweep.panel(i + 1 < sweep.count ? i + 1 : i)),
                         Product::template group_bytes<Cell::gates>, tiles);
      for_each_tile<Product::mr, least>(row_count, [&]<int rows>(std::size_t m) BYTEGATE_LAMBDA {
        take.template operator()<rows, 1>(first_row + m, panel);
      });
    }
  }
  if (units.count > 0) step_units(a, units);
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
