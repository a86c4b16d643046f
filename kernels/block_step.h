// One step of a recurrent cell by a block product (block_gemm.h).
#pragma once

#include "kernels/block_gemm.h"
#include "kernels/recurrent_step.h"

namespace bytegate::kernels {

/// Units, one after the other, whose recurrent sums are in memory: [rows, gates of the cell]. They are computed while
/// the next sums are under way. A unit opens before the one in front of it closes.
template <class Isa, class Cell>
class UnitsInTurn {
 public:
  /// beyond_l2: h and the state are not in L2 either.
  UnitsInTurn(const RecurrentStepArgs& a, StepRanges<Isa>& ranges, bool beyond_l2)
      : a_(a), ranges_(ranges), beyond_l2_(beyond_l2) {}

  /// Those of rows [row, end) and one panel come now, and then those of next_panel. sums: of these rows.
  BYTEGATE_INLINE void begin(const std::int32_t* sums, std::size_t row, std::size_t end, std::size_t panel,
                             std::size_t next_panel) {
    sums_ = sums;
    row_ = row;
    end_ = end;
    panel_ = panel;
    next_panel_ = next_panel;
  }
  BYTEGATE_INLINE bool any() const { return row_ < end_; }

  /// `count` units, or those that are left.
  __attribute__((noinline)) void compute(std::size_t count) {
    using F = typename Isa::F;
    const RecurrentStepArgs& a = a_;
    const std::size_t end = end_ - row_ < count ? end_ : row_ + count, n = panel_ * channels;
    F opened[kHalfWay];
    static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened[v] = opened_[v]; });
    for (; row_ < end; ++row_, sums_ += channels) {
      const RowDequantizer<Isa> dequantizer(a.lhs.scales[row_]);
      const float* input = step_input<Isa>(a, input_gates_of<Cell>(), row_, panel_);
      fetch_piece(step_input<Isa>(a, input_gates_of<Cell>(), row_, next_panel_), channels * sizeof(float));
      if (beyond_l2_) {
        const std::size_t unit = next_panel_ * Isa::width;
        fetch_piece(a.h + row_ * a.h_stride + unit, Isa::width * sizeof(float));
        if constexpr (Cell::has_state) fetch_piece(a.state + row_ * a.state_stride + unit, Isa::width * sizeof(float));
      }
      F gates[Cell::gates], next[kHalfWay];
      static_for<Cell::gates>([&]<int v>() BYTEGATE_LAMBDA {
        const std::size_t channel = n + v * Isa::width;
        gates[v] = dequantizer.value(Isa::load(sums_ + v * Isa::width), Isa::load(a.rhs.sums + channel),
                                     Isa::load(a.rhs.scales + channel),
                                     step_addend<Isa, Cell::own_bias, v>(a, input, channel));
      });
      const StepUnit<Isa> unit{row_, panel_, &ranges_.of(row_)};
      Cell::template open<Isa>(gates, step_memory<Isa, Cell>(a, unit), next);
      close(opened);
      static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened[v] = next[v]; });
      before_ = unit;
    }
    static_for<kHalfWay>([&]<int v>() BYTEGATE_LAMBDA { opened_[v] = opened[v]; });
  }

  /// Those that are left, and the last one's end.
  void finish() {
    compute(end_ - row_);
    close(opened_);
  }

 private:
  BYTEGATE_INLINE void close(const typename Isa::F (&opened)[kHalfWay]) const {
    if (!before_.range) return;
    store_h<Isa>(a_, before_, Cell::template close<Isa>(opened, step_memory<Isa, Cell>(a_, before_)));
  }

  static constexpr std::size_t channels = Cell::gates * Isa::width;
  const RecurrentStepArgs& a_;
  StepRanges<Isa>& ranges_;
  const bool beyond_l2_;
  const std::int32_t* sums_ = nullptr;
  std::size_t row_ = 0, end_ = 0, panel_ = 0, next_panel_ = 0;
  StepUnit<Isa> before_ = {0, 0, nullptr};  ///< opened, and not closed; no range: none
  typename Isa::F opened_[kHalfWay] = {typename Isa::F(0.0f), typename Isa::F(0.0f)};
};

template <class Blocks, class Cell>
void block_recurrent_step(const RecurrentStepArgs* args) {
  using Isa = typename Blocks::Isa;
  constexpr std::size_t at_once = kStepRows / Blocks::max_rows, channels = Cell::gates * Isa::width;
  const RecurrentStepArgs& a = *args;
  const RowBlocks rows(a.lhs.rows, Blocks::max_rows);
  if (rows.count == 0) return;
  const Blocks blocks(rows.rows);
  const PanelSweep sweep(a);
  const std::size_t panel_bytes = a.rhs.k_groups * (channels * Isa::kr), bytes = sweep.count * panel_bytes;
  const WeightsIn in = weights_in<Isa>(bytes);
  // Units that follow each step of the next panel's tiles; the first takes those that would be left. One at a time goes
  // beside the tiles of 16 rows, and beside weights that are on their way. Of two, the CPU does not see the tiles
  // behind them in time. More rows leave no room beside their tiles, and then units and tiles take turns.
  const std::size_t each = 2 * rows.rows <= Blocks::max_rows || bytes > Isa::l2_bytes ? 1 : 8;
  const std::size_t later = (blocks.template steps<Cell::gates>(a.rhs.k) - 1) * each;
  const std::size_t at_first = rows.rows > later + each ? rows.rows - later : each;
  alignas(64) std::int32_t sums[2][Blocks::max_rows * channels];
  for (std::size_t first = 0; first < rows.count; first += at_once) {
    const std::size_t last = rows.count - first < at_once ? rows.count : first + at_once;
    StepRanges<Isa> ranges(rows.own(first), rows.begin(last - 1) + rows.rows);
    UnitsInTurn<Isa, Cell> units(a, ranges, in == WeightsIn::beyond_l2);
    std::size_t turn = 0;
    for (std::size_t p = 0; p < sweep.count; ++p) {
      const std::size_t panel = sweep.panel(p);
      const auto* weights = static_cast<const std::int8_t*>(a.rhs.data) + panel * panel_bytes;
      for (std::size_t i = first; i < last; ++i, ++turn) {
        const std::size_t begin = rows.begin(i), own = rows.own(i);
        const auto* lhs = static_cast<const std::uint8_t*>(a.lhs.data) + begin * a.lhs.stride;
        std::size_t count = at_first;
        blocks.template panel_sums<Cell::gates>(lhs, a.lhs.stride, weights, a.rhs, in, sums[turn % 2],
                                                [&]() BYTEGATE_LAMBDA {
                                                  if (units.any()) units.compute(count);
                                                  count = each;
                                                });
        units.begin(sums[turn % 2] + (own - begin) * channels, own, begin + rows.rows, panel, sweep.next(p));
      }
    }
    units.finish();
    ranges.store(a);
  }
}

}  // namespace bytegate::kernels
