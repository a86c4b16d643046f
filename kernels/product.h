// The inner products: tiles of rows x nr channels, nr = 4 vectors of channels.
//
// A Product says how rows of staged activations meet a panel of weights:
//   Product::Tile<rows>              accumulators; run(lhs, first row, panel, rhs) sums over the whole of K
//   tile.value<r, v>(rhs, n, addend) the float result of row r and vector v (first channel n), plus addend
#pragma once

#include <bytegate/backend.h>

#include "kernels/unroll.h"

namespace bytegate::kernels {

/// int8 by a dot product of kr neighbours in k: Isa::dot(acc, load_lhs(...), load_rhs(...)), exact in int32. Passes over K with `vectors`
/// of the panel's four vectors of channels at a time: fewer let a CPU with few registers take more rows. For backends whose dot takes -128
/// as it is (no splits_minus_128).
template <class Isa, int rows, int vectors = 4>
struct DotTile {
  using I = typename Isa::I;
  // Few rows leave too few independent sums to hide the latency of dot: split k over several.
  static constexpr int wanted = static_cast<int>(Isa::independent_sums) / (rows * vectors);
  static constexpr int chains = wanted < 1 ? 1 : wanted > 4 ? 4 : wanted;
  I acc[rows][4];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs) {
    unrolled<4 / vectors>([&]<int pass>() BYTEGATE_LAMBDA { this->template run_pass<pass * vectors>(lhs, stride, panel, rhs); });
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return acc[m][v];
  }

 private:
  using Sums = I[chains][rows][vectors];

  template <int first>
  BYTEGATE_INLINE void run_pass(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs) {
    constexpr std::size_t group = Isa::nb * Isa::kr, lhs_group = Isa::kr * Isa::lhs_size;  // bytes of one k group
    const std::size_t block = rhs.k_groups * group;                                       // of nb channels
    Sums sums;
    unrolled<chains * rows * vectors>([&]<int i>() BYTEGATE_LAMBDA { sums[i / (rows * vectors)][i / vectors % rows][i % vectors] = Isa::set_i(0); });
    const auto* a = static_cast<const std::uint8_t*>(lhs);
    const auto* w = static_cast<const std::int8_t*>(panel);
    std::size_t groups = rhs.k_groups;
    for (; groups >= chains; groups -= chains, a += chains * lhs_group, w += chains * group) {
      unrolled<chains>([&]<int c>() BYTEGATE_LAMBDA { step<first, c>(sums, a + c * lhs_group, stride, w + c * group, block); });
    }
    if constexpr (chains > 1) {
      for (; groups > 0; --groups, a += lhs_group, w += group) step<first, 0>(sums, a, stride, w, block);
    }
    unrolled<rows * vectors>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int m = i / vectors, v = i % vectors;
      I sum = sums[0][m][v];
      unrolled<chains - 1>([&]<int c>() BYTEGATE_LAMBDA { sum = Isa::add_i(sum, sums[c + 1][m][v]); });
      acc[m][first + v] = sum;
    });
    // In memory before the next pass: clang would keep these in registers, and the sums of that pass on the stack.
    if constexpr (first + vectors < 4) asm volatile("" : "+m"(acc));
  }

  template <int first, int c>
  static BYTEGATE_INLINE void step(Sums& sums, const std::uint8_t* a, std::size_t stride, const std::int8_t* w, std::size_t block) {
    typename Isa::Rhs b[vectors];
    unrolled<vectors>([&]<int v>() BYTEGATE_LAMBDA {
      constexpr std::size_t p = (first + v) * Isa::width;
      b[v] = Isa::load_rhs(w + p / Isa::nb * block + p % Isa::nb * Isa::kr);
    });
    unrolled<rows>([&]<int m>() BYTEGATE_LAMBDA {
      const auto row = Isa::load_lhs(a + m * stride);
      unrolled<vectors>([&]<int v>() BYTEGATE_LAMBDA { sums[c][m][v] = Isa::dot(sums[c][m][v], row, b[v]); });
      unrolled<vectors>([&]<int v>() BYTEGATE_LAMBDA { Isa::keep(sums[c][m][v]); });
    });
  }
};

/// y = fma(float(acc), sx * sw, addend), acc = sum qx * qw - zx * sum qw.
template <class Isa>
struct Int8Product {
  static constexpr int mr = Isa::mr;
  static constexpr std::size_t group_bytes = 4 * Isa::width * Isa::kr;
  template <int rows>
  struct Tile {
    typename Isa::template Int8Tile<rows> tile;
    typename Isa::F scale[rows];
    typename Isa::I correction[rows];

    BYTEGATE_INLINE void run(const StagedRows& lhs, std::size_t m, const void* panel, const PackedMatrix& rhs) {
      tile.run(static_cast<const std::uint8_t*>(lhs.data) + m * lhs.stride, lhs.stride, panel, rhs);
      unrolled<rows>([&]<int r>() BYTEGATE_LAMBDA {
        scale[r] = Isa::set(lhs.scales[m + r].scale);
        correction[r] = Isa::set_i(Isa::lhs_offset - lhs.scales[m + r].zero_point);
      });
    }

    /// n: the channel of the vector's first lane.
    template <int r, int v>
    BYTEGATE_INLINE typename Isa::F value(const PackedMatrix& rhs, std::size_t n, typename Isa::F addend) const {
      const auto acc = Isa::add_i(tile.template sum<r, v>(), Isa::mul_i(correction[r], Isa::load_i(rhs.sums + n)));
      return Isa::fma(Isa::to_float(acc), Isa::mul(scale[r], Isa::load(rhs.scales + n)), addend);
    }
  };
};

/// float32: fused multiply-adds in the order of k, so that a result does not depend on the tile or the vector width.
template <class Isa>
struct FloatProduct {
  static constexpr int mr = Isa::float_mr;
  static constexpr std::size_t group_bytes = 4 * Isa::width * sizeof(float);
  template <int rows>
  struct Tile {
    typename Isa::F acc[rows][4];

    BYTEGATE_INLINE void run(const StagedRows& lhs, std::size_t m, const void* panel, const PackedMatrix& rhs) {
      const auto* w = static_cast<const float*>(panel);
      const char* a = static_cast<const char*>(lhs.data) + m * lhs.stride;
      unrolled<rows * 4>([&]<int i>() BYTEGATE_LAMBDA { acc[i / 4][i % 4] = Isa::set(0.0f); });
      for (std::size_t k = 0; k < rhs.k; ++k, w += 4 * Isa::width, a += sizeof(float)) {
        typename Isa::F b[4];
        unrolled<4>([&]<int v>() BYTEGATE_LAMBDA { b[v] = Isa::load(w + v * Isa::width); });
        unrolled<rows>([&]<int r>() BYTEGATE_LAMBDA {
          const auto x = Isa::set(*reinterpret_cast<const float*>(a + r * lhs.stride));
          unrolled<4>([&]<int v>() BYTEGATE_LAMBDA { acc[r][v] = Isa::fma(x, b[v], acc[r][v]); });
        });
      }
    }

    template <int r, int v>
    BYTEGATE_INLINE typename Isa::F value(const PackedMatrix&, std::size_t, typename Isa::F addend) const {
      return Isa::add(acc[r][v], addend);
    }
  };
};

template <class Product>
BYTEGATE_INLINE const char* panel_of(const PackedMatrix& rhs, std::size_t panel) {
  return static_cast<const char*>(rhs.data) + panel * rhs.segments * rhs.k_groups * Product::group_bytes;
}

}  // namespace bytegate::kernels
