// Products whose sums go through memory, a block of rows by some vectors of channels at a time: those of tile
// registers, which no vector instruction can read.
//
// A block product says
//   Blocks::Isa, Blocks::max_rows   its vectors, and the rows of its largest block
//   Blocks blocks(rows)             makes the CPU ready for blocks of exactly `rows` rows; its destructor ends that
//   Blocks::vectors_at_once(rows)   how many vectors of channels sums() takes at once for that many rows: 2 or 4
//   blocks.sums<count>(lhs, stride, weights, rhs, out, out_stride)
//     the sums over k of `count` vectors of channels, the first of which begins at `weights`, as int32 rows of
//     out_stride
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

/// Blocks that take a panel's weights one after the other, while those are in the caches nearest to the core.
constexpr std::size_t kBlocksAtOnce = 2;

/// Stores the outputs of rows [own, end) and `count` vectors of channels from n on; sums has those of rows from `begin`
/// on.
template <class Isa, int count>
BYTEGATE_INLINE void store_block(const GemmArgs& a, const std::int32_t* sums, std::size_t begin, std::size_t own,
                                 std::size_t end, std::size_t n) {
  using F = typename Isa::F;
  const F floor = F(__builtin_bit_cast(float, a.relu ? 0u : 0xff800000u));  // of 0 or -infinity, see gemm
  static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
    const std::size_t column = n + v * Isa::width;
    if (column >= a.n_out) return;
    const auto start = start_of<Isa>(a.rhs, column), weight_sums = Isa::load(a.rhs.sums + column);
    const F weight_scales = Isa::load(a.rhs.scales + column), bias = Isa::load(a.rhs.bias + column);
    float* out = a.out + own * a.out_stride + column;
    for (std::size_t row = own; row < end; ++row, out += a.out_stride) {
      const auto sum = start + Isa::load(sums + (row - begin) * (count * Isa::width) + v * Isa::width);
      const F y = Isa::max(floor, RowDequantizer<Isa>(a.lhs.scales[row]).value(sum, weight_sums, weight_scales, bias));
      store_at_most<Isa>(out, y, a.n_out - column);
    }
  });
}

/// Blocks [first, last) by `count` vectors of one panel at a time.
template <class Blocks, int count>
void gemm_blocks(const GemmArgs& a, const Blocks& blocks, const RowBlocks& rows, std::size_t first, std::size_t last) {
  using Isa = typename Blocks::Isa;
  alignas(64) std::int32_t sums[Blocks::max_rows * count * Isa::width];
  const auto* lhs = static_cast<const std::uint8_t*>(a.lhs.data);
  const std::size_t vector_size = a.rhs.k_groups * (Isa::width * Isa::kr);
  const std::size_t end = 4 * a.panel_end, used = (a.n_out + Isa::width - 1) / Isa::width;
  for (std::size_t vector = 4 * a.panel_begin; vector < (used < end ? used : end); vector += count) {
    const auto* weights = static_cast<const std::int8_t*>(a.rhs.data) + vector * vector_size;
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t begin = rows.begin(i);
      blocks.template sums<count>(lhs + begin * a.lhs.stride, a.lhs.stride, weights, a.rhs, sums, count * Isa::width);
      store_block<Isa, count>(a, sums, begin, rows.own(i), begin + rows.rows, vector * Isa::width);
    }
  }
}

template <class Blocks>
void block_gemm(const GemmArgs* args) {
  const GemmArgs a = *args;
  const RowBlocks rows(a.lhs.rows, Blocks::max_rows);
  if (rows.count == 0) return;
  const Blocks blocks(rows.rows);
  for (std::size_t first = 0; first < rows.count; first += kBlocksAtOnce) {
    const std::size_t last = rows.count - first < kBlocksAtOnce ? rows.count : first + kBlocksAtOnce;
    if (Blocks::vectors_at_once(rows.rows) == 4) {
      gemm_blocks<Blocks, 4>(a, blocks, rows, first, last);
    } else {
      gemm_blocks<Blocks, 2>(a, blocks, rows, first, last);
    }
  }
}

}  // namespace bytegate::kernels
