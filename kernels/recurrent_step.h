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
  std::size_t first, count, step;

  explicit BYTEGATE_INLINE PanelSweep(const RecurrentStepArgs& a)
      : first(a.descending ? a.panel_end - 1 : a.panel_begin),
        count(a.panel_end - a.panel_begin),
        step(a.descending ? ~std::size_t{0} : 1) {}

  /// A product: compilers advance what follows from it from one i to the next.
  BYTEGATE_INLINE std::size_t panel(std::size_t i) const { return first + i * step; }
  /// The one that follows panel(i), or the last itself.
  BYTEGATE_INLINE std::size_t next(std::size_t i) const { return panel(i + 1 < count ? i + 1 : i); }
};

/// What is added to the sums of a gate. input: step_input of the row and panel; channel: the gate's first.
template <class Isa, int own_bias, int gate>
BYTEGATE_INLINE typename Isa::F step_addend(const RecurrentStepArgs& a, const float* input, std::size_t channel) {
  return Isa::load(gate < own_bias ? input + gate * Isa::width : a.rhs.bias + channel);
}

/// Vectors of a panel in the input product, and the first of them that is the cell's.
struct InputGates {
  std::size_t count, first;
};
template <class Cell>
BYTEGATE_INLINE constexpr InputGates input_gates_of() {
  return {Cell::input_gates, Cell::first_gate};
}

/// The input of a row and panel, from the cell's first gate on.
template <class Isa>
BYTEGATE_INLINE float* step_input(const RecurrentStepArgs& a, const InputGates& gates, std::size_t row,
                                  std::size_t panel) {
  return a.input + row * a.input_stride + (panel * gates.count + gates.first) * Isa::width;
}

/// The gates of `rows` rows from `row` on and one panel, before their activation: [rows, gates]. input: step_input of
/// the first row.
template <class Product, int gates, int own_bias, int rows>
BYTEGATE_INLINE void step_gates(const RecurrentStepArgs& a, std::size_t row, std::size_t panel, const float* input,
                                FetchAhead& ahead, typename Product::Isa::F* out) {
  using Isa = typename Product::Isa;
  const std::size_t n = panel * gates * Isa::width;
  typename Product::template Tile<rows, gates> tile;
  tile.run(a.lhs, row, Product::template panel<gates>(a.rhs, panel), a.rhs, ahead);
  const PackedMatrix* rhs = &a.rhs;
  if constexpr (rows > 1) rhs = computed_here(rhs);
  static_for<rows * gates>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int r = i / gates, gate = i % gates;
    const std::size_t channel = n + gate * Isa::width;
    const auto addend = step_addend<Isa, own_bias, gate>(a, input + r * a.input_stride, channel);
    out[i] = tile.template value<r, gate>(*rhs, channel, addend);
  });
}

/// The same as a function of its own: inside a larger one, compilers run out of registers for the sums of many rows.
template <class Product, int gates, int own_bias, int rows>
__attribute__((noinline)) void step_gates_apart(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                                const float* input, FetchAhead& ahead, typename Product::Isa::F* out) {
  FetchAhead own = ahead;
  step_gates<Product, gates, own_bias, rows>(a, row, panel, input, own, out);
  ahead = own;
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
  store_at_most<Isa>(a.h + at.row * a.h_stride + unit, h, a.units - unit);
  at.range->take(h);
}

/// What a cell reads and writes of a unit beside its gates.
template <class Isa, class Cell>
BYTEGATE_INLINE StepMemory step_memory(const RecurrentStepArgs& a, const StepUnit<Isa>& unit) {
  return {step_input<Isa>(a, input_gates_of<Cell>(), unit.row, unit.panel),
          Cell::has_state ? a.state + unit.row * a.state_stride + unit.panel * Isa::width : nullptr, a.relu != 0};
}

/// Units and their gates, taken together: the activations of one, chains of dependent operations, overlap with those of
/// the next.
template <class Isa>
struct StepUnits {
  static constexpr std::size_t capacity = Isa::width > 8 ? Isa::width : 8, most_gates = 4;
  std::size_t count = 0;
  StepUnit<Isa> units[capacity];
  typename Isa::F gates[capacity * most_gates];  ///< [count, gates of the cell]
};

/// State and h of at least one unit. A unit opens before the one in front of it closes.
template <class Isa, class Cell>
void step_units(const RecurrentStepArgs& a, const StepUnits<Isa>& of) {
  static_assert(Cell::gates <= StepUnits<Isa>::most_gates);
  const typename Isa::F zero = typename Isa::F(0.0f);
  typename Isa::F next[kHalfWay] = {zero, zero}, opened[kHalfWay] = {zero, zero};
  for (std::size_t i = 0;; ++i) {
    if (i < of.count) {
      Cell::template open<Isa>(of.gates + i * Cell::gates, step_memory<Isa, Cell>(a, of.units[i]), next);
    }
    if (i > 0) {
      const StepUnit<Isa>& unit = of.units[i - 1];
      store_h<Isa>(a, unit, Cell::template close<Isa>(opened, step_memory<Isa, Cell>(a, unit)));
      if (i >= of.count) return;
    }
    static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened[v] = next[v]; });
  }
}

/// step_gates of some number of rows.
template <class Isa>
using StepGates = void (*)(const RecurrentStepArgs& a, std::size_t row, std::size_t panel, const float* input,
                           FetchAhead& ahead, typename Isa::F* out);

/// Of so many rows, at most Product::mr.
template <class Product, int gates, int own_bias>
struct StepGatesOf {
  StepGates<typename Product::Isa> rows[Product::mr + 1] = {};

  constexpr StepGatesOf() {
    // Tiles of at most three rows or more are as even as possible: none of several has one row.
    constexpr int least = Product::mr >= 3 ? 2 : 1;
    static_for<static_cast<int>(Product::mr) + 1 - least>(
        [&]<int i>() BYTEGATE_LAMBDA { rows[i + least] = step_gates_apart<Product, gates, own_bias, i + least>; });
  }
};
template <class Product, int gates, int own_bias>
inline constexpr StepGatesOf<Product, gates, own_bias> kStepGates;

/// The gates of one row and panels `panel` and `other`, which is not in front of it, as step_gates.
template <class Isa>
using PairGates = void (*)(const RecurrentStepArgs& a, std::size_t row, std::size_t panel, std::size_t other,
                           typename Isa::F* out);

template <class Product, class Cell>
__attribute__((noinline)) void pair_gates(const RecurrentStepArgs& a, std::size_t row, std::size_t panel,
                                          std::size_t other, typename Product::Isa::F* out) {
  using Isa = typename Product::Isa;
  constexpr int gates = Cell::gates;
  const std::size_t apart = (other - panel) * a.rhs.k_groups * Product::template group_bytes<gates>;
  FetchAhead ahead;
  typename Product::template Tile<1, 2 * gates, gates> tile;
  tile.run(a.lhs, row, Product::template panel<gates>(a.rhs, panel), a.rhs, ahead, apart);
  static_for<2 * gates>([&]<int i>() BYTEGATE_LAMBDA {
    constexpr int gate = i % gates;
    const std::size_t at = i < gates ? panel : other, channel = (at * gates + gate) * Isa::width;
    const float* input = step_input<Isa>(a, input_gates_of<Cell>(), row, at);
    out[i] = tile.template value<0, i>(a.rhs, channel, step_addend<Isa, Cell::own_bias, gate>(a, input, channel));
  });
}

/// Cells of fewer gates seldom have weights of so many bytes.
template <class Product, class Cell>
inline constexpr bool steps_by_pairs = (Cell::gates >= 3) && Product::row_by_pairs;

template <class Product, class Cell>
constexpr PairGates<typename Product::Isa> pair_gates_of() {
  if constexpr (steps_by_pairs<Product, Cell>) return pair_gates<Product, Cell>;
  return nullptr;
}

/// What a product and a cell contribute to a step of several rows, or of one by pairs of panels.
template <class Isa>
struct StepParts {
  std::size_t gates;                                                    ///< Cell::gates
  std::size_t group_bytes;                                              ///< Product::group_bytes
  std::size_t mr;                                                       ///< Product::mr
  InputGates input_gates;                                               ///< input_gates_of
  const StepGates<Isa>* step_gates_of;                                  ///< by the number of rows, at most mr
  PairGates<Isa> pair_gates;                                            ///< pair_gates, if steps_by_pairs
  void (*units)(const RecurrentStepArgs& a, const StepUnits<Isa>& of);  ///< step_units
};

/// Rows [first_row, first_row + row_count), at most kStepRows. One function for all products and cells, since it is
/// large and takes little of the time.
template <class Isa>
__attribute__((noinline)) void step_block(const RecurrentStepArgs& a, const StepParts<Isa>& parts,
                                          std::size_t first_row, std::size_t row_count) {
  using Units = StepUnits<Isa>;
  const PanelSweep sweep(a);
  const std::size_t panel_bytes = a.rhs.k_groups * parts.group_bytes;
  const std::size_t input_bytes = parts.gates * (Isa::width * sizeof(float));
  // No more than a tile: while the activations are computed, the weights of the next panel are on their way to L1.
  // Unless about all weights are in L1 already.
  constexpr std::size_t about_l1 = 65536;
  const std::size_t at_once = sweep.count * panel_bytes <= about_l1 ? Units::capacity : parts.mr;
  StepRanges<Isa> ranges(first_row, first_row + row_count);
  Units units;
  const RowTiles tiles(row_count, parts.mr);
  const std::size_t step = FetchAhead::step_of(parts.group_bytes, tiles.count);
  for (std::size_t i = 0; i < sweep.count; ++i) {
    const std::size_t panel = sweep.panel(i), next = sweep.next(i);
    const float* input = step_input<Isa>(a, parts.input_gates, 0, panel);
    const float* next_input = step_input<Isa>(a, parts.input_gates, 0, next);
    FetchAhead ahead(static_cast<const char*>(a.rhs.data) + next * panel_bytes, step);
    tiles.for_each([&](std::size_t, std::size_t m, std::size_t rows) BYTEGATE_LAMBDA {
      if (units.count + rows > at_once) {
        parts.units(a, units);
        units.count = 0;
      }
      const std::size_t row = first_row + m;
      parts.step_gates_of[rows](a, row, panel, input + row * a.input_stride, ahead,
                                units.gates + units.count * parts.gates);
      for (std::size_t r = row; r < row + rows; r = computed_here(r + 1)) {  // else it is unrolled, or made of vectors
        units.units[units.count++] = {r, panel, &ranges.of(r)};
        fetch_piece(next_input + r * a.input_stride, input_bytes);
      }
    });
  }
  if (units.count > 0) parts.units(a, units);
  ranges.store(a);
}

/// One row by pairs of panels: see Product::row_by_pairs. Of an odd number the last of the first half is computed
/// twice.
template <class Isa>
__attribute__((noinline)) void step_row_by_pairs(const RecurrentStepArgs& a, const StepParts<Isa>& parts,
                                                 std::size_t row) {
  RecurrentStepArgs first = a;
  const std::size_t half = (a.panel_end - a.panel_begin + 1) / 2;
  first.panel_end = a.panel_begin + half;
  const PanelSweep sweep(first);
  StepRanges<Isa> ranges(row, row + 1);
  StepUnits<Isa> units;
  for (std::size_t i = 0; i < half; ++i) {
    const std::size_t panel = sweep.panel(i), other = panel + half < a.panel_end ? panel + half : panel;
    if (units.count + 2 > units.capacity) {
      parts.units(a, units);
      units.count = 0;
    }
    parts.pair_gates(a, row, panel, other, units.gates + units.count * parts.gates);
    units.units[units.count++] = {row, panel, &ranges.of(row)};
    if (other != panel) units.units[units.count++] = {row, other, &ranges.of(row)};
  }
  parts.units(a, units);
  ranges.store(a);
}

/// One row. While the CPU waits for the weights of a panel, it opens the unit of the panel before and closes the one
/// before that.
template <class Product, class Cell>
void step_row(const RecurrentStepArgs& args, std::size_t row) {
  using Isa = typename Product::Isa;
  RecurrentStepArgs a = args;
  a.lhs = rows_from(args.lhs, row);
  a.input += row * a.input_stride;
  if constexpr (Cell::has_state) a.state += row * a.state_stride;
  a.h += row * a.h_stride;
  const PanelSweep sweep(a);
  FetchAhead ahead;
  LaneRanges<Isa> range;
  typename Isa::F gates[Cell::gates], opened[kHalfWay];
  for (std::size_t i = 0; i < sweep.count + 2; ++i) {
    typename Isa::F next[Cell::gates];
    if (i < sweep.count) {
      const std::size_t panel = sweep.panel(i);
      const float* input = step_input<Isa>(a, input_gates_of<Cell>(), 0, panel);
      step_gates<Product, Cell::gates, Cell::own_bias, 1>(a, 0, panel, input, ahead, next);
    }
    if (i >= 2) {
      const StepUnit<Isa> unit{0, sweep.panel(i - 2), &range};
      store_h<Isa>(a, unit, Cell::template close<Isa>(opened, step_memory<Isa, Cell>(a, unit)));
    }
    if (i >= 1 && i <= sweep.count) {
      const StepUnit<Isa> unit{0, sweep.panel(i - 1), &range};
      Cell::template open<Isa>(gates, step_memory<Isa, Cell>(a, unit), opened);
    }
    static_for<Cell::gates>([&]<int v>() BYTEGATE_LAMBDA { gates[v] = next[v]; });
  }
  if (a.ranges) a.ranges[row] = range.range();
}

template <class Product, class Cell>
void recurrent_step(const RecurrentStepArgs* args) {
  using Isa = typename Product::Isa;
  static constexpr StepParts<Isa> parts = {Cell::gates,
                                           Product::template group_bytes<Cell::gates>,
                                           Product::mr,
                                           input_gates_of<Cell>(),
                                           kStepGates<Product, Cell::gates, Cell::own_bias>.rows,
                                           pair_gates_of<Product, Cell>(),
                                           step_units<Isa, Cell>};
  const RecurrentStepArgs& a = *args;
  for (std::size_t row = 0; row < a.lhs.rows; row += kStepRows) {
    const std::size_t left = a.lhs.rows - row;
    if constexpr (Product::mr >= 3) {
      if (left == 1) {
        if constexpr (steps_by_pairs<Product, Cell>) {
          if (a.from_memory != 0) return step_row_by_pairs<Isa>(a, parts, row);
        }
        step_row<Product, Cell>(a, row);
        return;
      }
    }
    step_block<Isa>(a, parts, row, left < kStepRows ? left : kStepRows);
  }
}

}  // namespace bytegate::kernels
