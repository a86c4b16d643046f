// The inner products: tiles of rows by the vectors of channels of a panel.
//
// A product says how rows of staged activations are multiplied by a panel of weights:
//   Product::Isa, Product::mr           its vectors, and the rows of its largest tile
//   Product::Tile<rows, vectors, of>    accumulators of so many vectors of a panel that has `of`: all of them unless
//                                       given
//   tile.run(lhs, m, panel, rhs, ahead)
//                                       sums over the whole of k; m is the first row; ahead: see FetchAhead
//   tile.value<r, v>(rhs, n, addend)    the float result of row r and vector v (first channel n), plus addend
//   Product::row_by_pairs               whether a tile of one row takes two panels of weights from memory, one of the
//                                       first half and one of the second: CPUs read streams that are far apart faster
//                                       from there than one
//   Product::panel<vectors>(rhs, i)     the weights of panel i
//   Product::least_vectors              vectors of a panel of 4 that a tile may take alone
//   Product::vectors(rhs, n)            the weights of those that begin with channel n
//   Product::group_bytes<vectors>       bytes of one group of k of a panel
#pragma once

#include <bytegate/backend.h>

#include "kernels/concepts.h"
#include "kernels/fetch_ahead.h"
#include "kernels/static_for.h"

namespace bytegate::kernels {

/// Kernels::sum_format of an int8 product.
template <class P>
inline constexpr SumFormat sum_format = requires(typename P::I i) {
  P::add_pair_products(i, i, i);
}
? SumFormat::pair : SumFormat::plain;

/// Kernels::layout of an int8 product.
template <class P>
inline constexpr PackedLayout layout_of = {4 * P::width, P::block_channels, P::kr, P::kr};

/// Where the weights of int8 panels of `of` vectors in such blocks are, in bytes from the first panel.
template <class P, int of, std::uint32_t block_channels>
struct PanelOrder {
  static constexpr std::size_t group = block_channels * P::kr;  ///< from one group of k to the next
  std::size_t block;                                            ///< from one block to the next
  std::size_t apart;                                            ///< from one panel to the next

  BYTEGATE_INLINE PanelOrder(const PackedMatrix& rhs, std::size_t panels_apart)
      : block(rhs.k_groups * group), apart(panels_apart) {}

  /// The first group of a vector of channels.
  BYTEGATE_INLINE std::size_t vector(std::size_t v) const {
    const std::size_t n = v % of * P::width;
    return v / of * apart + n / block_channels * block + n % block_channels * P::kr;
  }
};

/// f(PanelOrder) of the panels of rhs, which have `of` vectors of channels. apart: see PanelOrder; any for one panel.
template <class P, int of, class F>
BYTEGATE_INLINE auto with_order(const PackedMatrix& rhs, std::size_t apart, const F& f) {
  constexpr std::uint32_t block_channels = recurrent_layout(layout_of<P>, of).block_channels;
  if constexpr (requires { P::takes_vector_blocks; }) {
    if (rhs.block_channels != block_channels) return f(PanelOrder<P, of, P::width>(rhs, apart));
  }
  return f(PanelOrder<P, of, block_channels>(rhs, apart));
}

/// The rows from `row` on. Of float kernels, rows have no scales.
BYTEGATE_INLINE StagedRows rows_from(const StagedRows& lhs, std::size_t row) {
  return {static_cast<char*>(lhs.data) + row * lhs.stride, lhs.stride, lhs.scales ? lhs.scales + row : nullptr,
          lhs.rows - row};
}

/// The first `left` lanes of v, or all of them.
template <class Isa>
BYTEGATE_INLINE void store_at_most(float* out, typename Isa::F v, std::size_t left) {
  if (left >= Isa::width) {
    Isa::store(out, v);
  } else {
    Isa::store_first(out, v, left);
  }
}

/// What outputs are at least, by Isa::max(floor, y), where NaN as the second operand stays.
template <class F>
BYTEGATE_INLINE F output_floor(const GemmArgs& a) {
  constexpr std::uint32_t minus_infinity = 0xff800000u;
  return F(__builtin_bit_cast(float, a.relu ? 0u : minus_infinity));
}

/// Whether a tile keeps its weights in registers from row to row, beside its sums and an activation: g++ would load
/// them again for each of few rows, which takes up to twice the time.
template <class V, int rows, int vectors>
inline constexpr bool keeps_weights = rows > 1 && (rows + 1) * vectors < static_cast<int>(V::registers);

/// Chains of sums that a pass over k of `rows` by `count` vectors keeps. Few rows leave too few independent sums to
/// hide the latency of dot: k is split over several. The weights of one row come too slowly for more than eight.
template <class P>
constexpr int chains_of(int rows, int count) {
  const int wanted = static_cast<int>(P::independent_sums) / (rows * count), most = count >= 4 ? 2 : 4;
  return wanted < 1 ? 1 : wanted > most ? most : wanted;
}

/// One group of k of such a pass. row_at(m): bytes from the first row to row m; w: the group's first weight; order: of
/// the weights; first: the first of the vectors in it.
template <class P, int first, int rows, int count, class Order, class RowAt>
BYTEGATE_INLINE void dot_step(typename P::I (&sums)[rows][count], const std::uint8_t* a, const RowAt& row_at,
                              const std::int8_t* w, const Order& order) {
  typename P::Rhs b[count];
  static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
    b[v] = P::load_rhs(w + order.vector(first + v));
    if constexpr (keeps_weights<P, rows, count>) P::pin_register(b[v]);
  });
  static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
    const auto row = P::load_lhs(a + row_at(m));
    static_for<count>([&]<int v>() BYTEGATE_LAMBDA { sums[m][v] = P::dot(sums[m][v], row, b[v]); });
    static_for<count>([&]<int v>() BYTEGATE_LAMBDA { P::pin_register(sums[m][v]); });
  });
}

/// int8 by a dot product of kr neighbours in k: P::dot(acc, load_lhs(...), load_rhs(...)), exact in int32. Passes over
/// k with `at_once` of the panel's vectors of channels at a time, or what is left of them: fewer let a CPU with few
/// registers take more rows. The vectors are the first of a panel that has `of`.
template <class P, int rows, int vectors, int at_once, int of = vectors>
struct DotTile {
  using I = typename P::I;
  static constexpr std::uint32_t width = P::width;
  static constexpr int passes = (vectors + at_once - 1) / at_once;
  I acc[rows][vectors];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead& ahead) {
    FetchAhead of_pass = ahead.pass_of(passes);
    static_for<passes>([&]<int pass>() BYTEGATE_LAMBDA {
      constexpr int first = pass * at_once, left = vectors - first;
      this->template run_pass<first, (left < at_once ? left : at_once)>(lhs, stride, panel, rhs, of_pass);
    });
    ahead.go_on_after(of_pass);
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return acc[m][v];
  }

 private:
  template <int count>
  using Sums = I[chains_of<P>(rows, count)][rows][count];

  template <int first, int count>
  BYTEGATE_INLINE void run_pass(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                                FetchAhead& ahead) {
    constexpr int chains = chains_of<P>(rows, count);
    constexpr std::size_t lhs_group = P::kr * P::lhs_size;  // bytes of one k group
    Sums<count> sums;
    static_for<chains * rows * count>(
        [&]<int i>() BYTEGATE_LAMBDA { sums[i / (rows * count)][i / count % rows][i % count] = I(0); });
    with_order<P, of>(rhs, 0, [&](const auto& order) BYTEGATE_LAMBDA {
      const auto* a = static_cast<const std::uint8_t*>(lhs);
      const auto* w = static_cast<const std::int8_t*>(panel);
      const auto row_at = [&](int m) BYTEGATE_LAMBDA { return static_cast<std::size_t>(m) * stride; };
      std::size_t groups = (rhs.k + P::kr - 1) / P::kr;  // without the padding of a k_block
      for (; groups >= chains; groups -= chains, a += chains * lhs_group, w += chains * order.group) {
        static_for<chains>([&]<int c>() BYTEGATE_LAMBDA {
          dot_step<P, first>(sums[c], a + c * lhs_group, row_at, w + c * order.group, order);
        });
        if constexpr (fetches_ahead<rows, P::mr>) ahead.fetch<chains>();
      }
      if constexpr (chains > 1) {
        for (; groups > 0; --groups, a += lhs_group, w += order.group) {
          dot_step<P, first>(sums[0], a, row_at, w, order);
        }
      }
    });
    static_for<rows * count>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int m = i / count, v = i % count;
      I sum = sums[0][m][v];
      static_for<chains - 1>([&]<int c>() BYTEGATE_LAMBDA { sum = sum + sums[c + 1][m][v]; });
      acc[m][first + v] = sum;
    });
    // In memory before the next pass: clang would keep these in registers, and the sums of that pass on the stack.
    if constexpr (first + count < vectors) asm volatile("" : "+m"(acc));
  }
};

/// What makes a float of the sums of one row.
template <class P>
struct RowDequantizer {
  using F = typename P::F;
  using I = typename P::I;
  F scale;
  I correction;

  RowDequantizer() = default;
  explicit BYTEGATE_INLINE RowDequantizer(const RowScale& row)
      : scale(row.scale),
        correction(
            I(sum_format<P> == SumFormat::pair ? pair_factors(row.zero_point) : P::activation_bias - row.zero_point)) {}

  /// fma(float(acc), sx * sw, addend), acc = sum qx * qw - zx * sum qw. `sum` is that of the products.
  BYTEGATE_INLINE F value(I sum, I weight_sums, F weight_scales, F addend) const {
    I acc;
    if constexpr (sum_format<P> == SumFormat::pair) {
      acc = P::add_pair_products(sum, correction, weight_sums);
    } else {
      acc = sum + correction * weight_sums;
    }
    return P::fma(P::to_float(acc), scale * weight_scales, addend);
  }

 private:
  /// 127 * z, and -128 * z in the high half.
  static BYTEGATE_INLINE std::int32_t pair_factors(std::int32_t z) { return z * (127 - (128 << 16)); }
};

/// int8 rows by int8 weights, exact in int32, then floats by RowDequantizer.
template <class P>
struct QuantizedProduct {
  using Isa = P;
  using F = typename P::F;
  static constexpr int mr = P::mr;
  static constexpr bool row_by_pairs = requires { P::row_by_pairs; };

  template <int vectors>
  static constexpr std::size_t group_bytes = (vectors * P::width * P::kr);

  template <int vectors>
  static BYTEGATE_INLINE const void* panel(const PackedMatrix& rhs, std::size_t i) {
    return static_cast<const char*>(rhs.data) + i * rhs.k_groups * group_bytes<vectors>;
  }

  static constexpr int least_vectors = P::least_vectors;

  static BYTEGATE_INLINE const void* vectors(const PackedMatrix& rhs, std::size_t n) {
    return static_cast<const char*>(panel<4>(rhs, n / (4 * P::width))) +
           with_order<P, 4>(rhs, 0, [&](const auto& order) BYTEGATE_LAMBDA { return order.vector(n / P::width % 4); });
  }

  template <int rows, int vectors, int of = vectors>
  struct Tile {
    typename P::template Tile<rows, vectors, of> tile;
    RowDequantizer<P> dequantizer[rows];

    template <class... Apart>
    BYTEGATE_INLINE void run(const StagedRows& lhs, std::size_t m, const void* panel, const PackedMatrix& rhs,
                             FetchAhead& ahead, Apart... apart) {
      const auto* rows_of = static_cast<const std::uint8_t*>(lhs.data) + m * lhs.stride;
      tile.run(rows_of, lhs.stride, panel, rhs, ahead, apart...);
      static_for<rows>([&]<int r>() BYTEGATE_LAMBDA { dequantizer[r] = RowDequantizer<P>(lhs.scales[m + r]); });
    }

    /// n: the channel of the vector's first lane.
    template <int r, int v>
    BYTEGATE_INLINE F value(const PackedMatrix& rhs, std::size_t n, F addend) const {
      return dequantizer[r].value(tile.template sum<r, v>(), P::load(rhs.sums + n), P::load(rhs.scales + n), addend);
    }
  };
};

/// float32: fused multiply-adds in the order of k, so that a result does not depend on the tile or the vector width.
template <class V>
struct FloatProduct {
  using Isa = V;
  using F = typename V::F;
  static constexpr int mr = V::float_mr;
  static constexpr bool row_by_pairs = false;
  static constexpr PackedLayout panel_layout = {4 * V::width, 4 * V::width, 1, 1};

  template <int vectors>
  static constexpr std::size_t group_bytes = (vectors * V::width * sizeof(float));

  template <int vectors>
  static BYTEGATE_INLINE const void* panel(const PackedMatrix& rhs, std::size_t i) {
    return static_cast<const char*>(rhs.data) + i * rhs.k_groups * group_bytes<vectors>;
  }

  static constexpr int least_vectors = 1;

  static BYTEGATE_INLINE const void* vectors(const PackedMatrix& rhs, std::size_t n) {
    return static_cast<const float*>(rhs.data) + packed_index(panel_layout, rhs.k_groups, n, 0);
  }

  template <int rows, int vectors, int of = vectors>
  struct Tile {
    static constexpr PackedLayout layout = recurrent_layout(panel_layout, of);
    F acc[rows][vectors];

    BYTEGATE_INLINE void run(const StagedRows& lhs, std::size_t m, const void* panel, const PackedMatrix& rhs,
                             FetchAhead& ahead) {
      const auto* w = static_cast<const float*>(panel);
      const char* a = static_cast<const char*>(lhs.data) + m * lhs.stride;
      static_for<rows * vectors>([&]<int i>() BYTEGATE_LAMBDA { acc[i / vectors][i % vectors] = F(0.0f); });
      const std::size_t block = rhs.k_groups * layout.block_channels;
      for (std::size_t k = 0; k < rhs.k; ++k, w += layout.block_channels, a += sizeof(float)) {
        F b[vectors];
        static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
          constexpr std::size_t p = v * V::width;
          b[v] = V::load(w + p / layout.block_channels * block + p % layout.block_channels);
          if constexpr (keeps_weights<V, rows, vectors>) V::pin_register(b[v]);
        });
        static_for<rows>([&]<int r>() BYTEGATE_LAMBDA {
          const auto x = F(*reinterpret_cast<const float*>(a + r * lhs.stride));
          static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA { acc[r][v] = V::fma(x, b[v], acc[r][v]); });
        });
        if constexpr (fetches_ahead<rows, mr>) ahead.fetch<1>();
      }
    }

    template <int r, int v>
    BYTEGATE_INLINE F value(const PackedMatrix&, std::size_t, F addend) const {
      return acc[r][v] + addend;
    }
  };
};

}  // namespace bytegate::kernels
