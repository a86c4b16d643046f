// Products whose sums go through memory, a block of rows by some vectors of channels at a time: those of tile
// registers, which no vector instruction can read.
//
// A block product says
//   Blocks::Isa, Blocks::max_rows   its vectors, and the rows of its largest block
//   Blocks blocks(rows)             makes the CPU ready for blocks of exactly `rows` rows; its destructor ends that
//   blocks.steps<vectors>(k)        steps in which panel_sums goes over k for a panel of so many vectors of channels
//   blocks.panel_sums<vectors>(lhs, stride, weights, rhs, in, out, between)
//     the sums over k of such a panel, the first of whose weights is at `weights`, as int32 [rows, vectors]; in: where
//     the weights are; between() is called after each step, for work that does not wait for these sums
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

/// Divides rows into blocks of one height, the least that gives as few blocks as possible. The last begins early where
/// the rows do not divide: its first rows are computed twice, and taken from the block before.
struct RowBlocks {
  std::size_t total, count, rows;

  BYTEGATE_INLINE RowBlocks(std::size_t n, std::size_t max_rows)
      : total(n), count((n + max_rows - 1) / max_rows), rows(count > 0 ? (n + count - 1) / count : 0) {}

  /// The first row of block i, and the first that is its own.
  BYTEGATE_INLINE std::size_t begin(std::size_t i) const { return total - i * rows < rows ? total - rows : i * rows; }
  BYTEGATE_INLINE std::size_t own(std::size_t i) const { return i * rows; }
};

/// Weights of so many bytes stay in L1 beside the activations that they are multiplied by.
constexpr std::size_t kBytesInL1 = 24 * 1024;

/// Of so many bytes that are read in turn. Those a little beyond L2 are there in part.
template <class Isa>
BYTEGATE_INLINE WeightsIn weights_in(std::size_t bytes) {
  return bytes <= kBytesInL1 ? WeightsIn::l1 : bytes <= 2 * Isa::l2_bytes ? WeightsIn::l2 : WeightsIn::beyond_l2;
}

/// How many of `n` follow a step, so that `steps` of them take all: at least `least`.
BYTEGATE_INLINE std::size_t share_of(std::size_t n, std::size_t steps, std::size_t least) {
  const std::size_t share = steps > 0 ? (n + steps - 1) / steps : n;
  return share < least ? least : share;
}

/// The outputs of a panel whose sums are in memory: [rows, 4 vectors]. They are stored while the next sums are under
/// way.
struct PanelOutputs {
  const std::int32_t* sums;  ///< of the next row
  std::size_t row, end;      ///< the next, and behind the last
  std::size_t panel;
};

/// Stores `count` rows of the outputs, or those that are left. A function of its own: inside a loop of tile
/// instructions compilers run out of registers.
template <class Isa>
__attribute__((noinline)) void store_rows(const GemmArgs& a, PanelOutputs& outputs, std::size_t count) {
  using F = typename Isa::F;
  using I = typename Isa::I;
  constexpr std::size_t channels = 4 * Isa::width;
  const std::size_t n = outputs.panel * channels, left = a.n_out - n;
  const std::size_t end = outputs.end - outputs.row < count ? outputs.end : outputs.row + count;
  const F floor = output_floor<F>(a);
  I weight_sums[4];
  F weight_scales[4], bias[4];
  static_for<4>([&]<int v>() BYTEGATE_LAMBDA {
    weight_sums[v] = Isa::load(a.rhs.sums + n + v * Isa::width);
    weight_scales[v] = Isa::load(a.rhs.scales + n + v * Isa::width);
    bias[v] = Isa::load(a.rhs.bias + n + v * Isa::width);
  });
  float* out = a.out + outputs.row * a.out_stride + n;
  const std::int32_t* sums = outputs.sums;
  for (std::size_t row = outputs.row; row < end; ++row, sums += channels, out += a.out_stride) {
    const RowDequantizer<Isa> dequantizer(a.lhs.scales[row]);
    F y[4];
    static_for<4>([&]<int v>() BYTEGATE_LAMBDA {
      y[v] = Isa::max(floor,
                      dequantizer.value(Isa::load(sums + v * Isa::width), weight_sums[v], weight_scales[v], bias[v]));
    });
    if (left >= channels) {
      static_for<4>([&]<int v>() BYTEGATE_LAMBDA { Isa::store(out + v * Isa::width, y[v]); });
    } else {
      static_for<4>([&]<int v>() BYTEGATE_LAMBDA {
        if (v * Isa::width < left) store_at_most<Isa>(out + v * Isa::width, y[v], left - v * Isa::width);
      });
    }
  }
  outputs.row = end;
  outputs.sums = sums;
}

/// Block i by panels [panel_begin, panel_end), all of which have columns that are stored.
template <class Blocks>
__attribute__((noinline)) void gemm_block(const GemmArgs& a, const Blocks& blocks, const RowBlocks& rows, std::size_t i,
                                          std::size_t panel_begin, std::size_t panel_end, WeightsIn in) {
  using Isa = typename Blocks::Isa;
  constexpr std::size_t channels = 4 * Isa::width;
  // Of one panel in turn with the next, whose sums are under way while the outputs of the one before are stored.
  alignas(64) std::int32_t sums[2][Blocks::max_rows * channels];
  const std::size_t panel_bytes = a.rhs.k_groups * (channels * Isa::kr), begin = rows.begin(i), own = rows.own(i);
  const std::size_t share = share_of(rows.rows, blocks.template steps<4>(a.rhs.k), 2);
  const auto* lhs = static_cast<const std::uint8_t*>(a.lhs.data) + begin * a.lhs.stride;
  const auto* weights = static_cast<const std::int8_t*>(a.rhs.data) + panel_begin * panel_bytes;
  PanelOutputs outputs = {nullptr, 0, 0, 0};
  const auto store = [&](std::size_t count) BYTEGATE_LAMBDA {
    if (outputs.row < outputs.end) store_rows<Isa>(a, outputs, count);
  };
  for (std::size_t panel = panel_begin; panel < panel_end; ++panel, weights += panel_bytes) {
    std::int32_t* panel_sums = sums[panel % 2];
    blocks.template panel_sums<4>(lhs, a.lhs.stride, weights, a.rhs, in, panel_sums,
                                  [&]() BYTEGATE_LAMBDA { store(share); });
    store(rows.rows);
    outputs = {panel_sums + (own - begin) * channels, own, begin + rows.rows, panel};
  }
  store(rows.rows);
}

template <class Blocks>
void block_gemm(const GemmArgs* args) {
  using Isa = typename Blocks::Isa;
  constexpr std::size_t channels = 4 * Isa::width, half_l2 = Isa::l2_bytes / 2;
  const GemmArgs& a = *args;
  const RowBlocks rows(a.lhs.rows, Blocks::max_rows);
  const std::size_t used = (a.n_out + channels - 1) / channels, end = used < a.panel_end ? used : a.panel_end;
  if (rows.count == 0 || a.panel_begin >= end) return;
  const Blocks blocks(rows.rows);
  // Panels that stay in L2, beside outputs on their way to memory, while all blocks pass. Each block stays in L1.
  const std::size_t panel_bytes = a.rhs.k_groups * (channels * Isa::kr), panels = end - a.panel_begin;
  std::size_t at_once = panels;
  if (panels * panel_bytes > Isa::l2_bytes) at_once = half_l2 > panel_bytes ? half_l2 / panel_bytes : 1;
  for (std::size_t panel = a.panel_begin; panel < end; panel += at_once) {
    const std::size_t last = end - panel < at_once ? end : panel + at_once;
    const WeightsIn first = weights_in<Isa>(panels * panel_bytes),
                    later = weights_in<Isa>((last - panel) * panel_bytes);
    for (std::size_t i = 0; i < rows.count; ++i) gemm_block(a, blocks, rows, i, panel, last, i == 0 ? first : later);
  }
}

}  // namespace bytegate::kernels
