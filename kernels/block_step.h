// One step of a recurrent cell by a block product (block_gemm.h).
#pragma once

#include "kernels/block_gemm.h"
#include "kernels/recurrent_step.h"

namespace bytegate::kernels {

/// The recurrent sums of one block and panel.
template <class Blocks, int gates>
BYTEGATE_INLINE void block_sums(const RecurrentStepArgs& a, const Blocks& blocks, std::size_t rows, std::size_t begin,
                                std::size_t panel, std::int32_t* sums) {
  using Isa = typename Blocks::Isa;
  const std::size_t vector_size = a.rhs.k_groups * (Isa::width * Isa::kr);
  const auto* lhs = static_cast<const std::uint8_t*>(a.lhs.data) + begin * a.lhs.stride;
  const auto* weights = static_cast<const std::int8_t*>(a.rhs.data) + panel * gates * vector_size;
  const auto take = [&]<int first, int count>() BYTEGATE_LAMBDA {
    blocks.template sums<count>(lhs, a.lhs.stride, weights + first * vector_size, a.rhs, sums + first * Isa::width,
                                gates * Isa::width);
  };
  if constexpr (gates <= 2) {
    take.template operator()<0, gates>();
  } else if (Blocks::vectors_at_once(rows) >= gates) {
    take.template operator()<0, gates>();
  } else {
    take.template operator()<0, 2>();
    take.template operator()<2, gates - 2>();
  }
}

/// State and h of rows [own, end) and one panel, from the sums of rows from `begin` on.
template <class Isa, class Cell>
void step_rows(const RecurrentStepArgs& a, const std::int32_t* sums, std::size_t begin, std::size_t own,
               std::size_t end, std::size_t panel, StepRanges<Isa>& ranges) {
  constexpr std::size_t channels = Cell::gates * Isa::width;
  const std::size_t n = panel * channels;
  using Units = StepUnits<Isa>;
  Units units;
  for (std::size_t row = own; row < end; row += units.count) {
    units.count = end - row < Units::capacity ? end - row : Units::capacity;
    for (std::size_t r = 0; r < units.count; ++r) {
      const RowDequantizer<Isa> dequantizer(a.lhs.scales[row + r]);
      const float* input = step_input<Isa>(a, input_gates_of<Cell>(), row + r, panel);
      static_for<Cell::gates>([&]<int v>() BYTEGATE_LAMBDA {
        const std::size_t channel = n + v * Isa::width;
        units.gates[r * Cell::gates + v] = dequantizer.value(
            Isa::load(sums + (row + r - begin) * channels + v * Isa::width) + start_of<Isa>(a.rhs, channel),
            Isa::load(a.rhs.sums + channel), Isa::load(a.rhs.scales + channel),
            step_addend<Isa, Cell::own_bias, v>(a, input, channel));
      });
      units.units[r] = {row + r, panel, &ranges.of(row + r)};
    }
    step_units<Isa, Cell>(a, units);
  }
}

template <class Blocks, class Cell>
void block_recurrent_step(const RecurrentStepArgs* args) {
  using Isa = typename Blocks::Isa;
  static_assert(kBlocksAtOnce * Blocks::max_rows <= kStepRows);
  const RecurrentStepArgs a = *args;
  const RowBlocks rows(a.lhs.rows, Blocks::max_rows);
  if (rows.count == 0) return;
  const Blocks blocks(rows.rows);
  const PanelSweep sweep(a);
  // Of one block in turn with the next, whose sums are under way while the state of the one before is computed.
  alignas(64) std::int32_t sums[2][Blocks::max_rows * Cell::gates * Isa::width];
  for (std::size_t first = 0; first < rows.count; first += kBlocksAtOnce) {
    const std::size_t last = rows.count - first < kBlocksAtOnce ? rows.count : first + kBlocksAtOnce;
    const std::size_t end = rows.begin(last - 1) + rows.rows;
    StepRanges<Isa> ranges(rows.own(first), end);
    const std::size_t at_once = last - first, parts = sweep.count * at_once;
    for (std::size_t i = 0; i <= parts; ++i) {
      if (i < parts) {
        block_sums<Blocks, Cell::gates>(a, blocks, rows.rows, rows.begin(first + i % at_once), sweep.panel(i / at_once),
                                        sums[i % 2]);
      }
      if (i == 0) continue;
      const std::size_t block = first + (i - 1) % at_once, begin = rows.begin(block);
      step_rows<Isa, Cell>(a, sums[(i - 1) % 2], begin, rows.own(block), begin + rows.rows,
                           sweep.panel((i - 1) / at_once), ranges);
    }
    ranges.store(a);
  }
}

}  // namespace bytegate::kernels
