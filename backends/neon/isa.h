// Armv8.0-A: exact int8 products from widening multiplies. smull and smlal put a[k] * w[k] + a[k + 2] * w[k + 2] into
// int16, sadalp adds neighbours into int32. With weights w >= -127 a sum of two products is at most 2 * 128 * 127 =
// 32512, so int16 holds it. A matrix with a weight of -128 takes a slower loop without smlal: one product is at most
// 128 * 128 = 16384.
#pragma once

#define BYTEGATE_XSIMD xsimd_neon
#include "backends/common/neon_vectors.h"
#include "kernels/product.h"

namespace {

using I = NeonVectors::I;
using bytegate::PackedMatrix;
using bytegate::kernels::FetchAhead;
using bytegate::kernels::static_for;

/// Pairs of k: a vector of 16 weights is 8 channels x 2, an activation pair is repeated in all its lanes. 16 k at a
/// time: one load a row, whose 8 pairs meet the weights by lane. A panel of 2 or 4 vectors of channels is one block.
template <int rows, int vectors, int of>
struct SmlalTile {
  static constexpr int lanes = 8, halves = vectors / 2;
  static constexpr std::size_t group = of / 2 * 16;  // bytes of 2 k of a panel
  I acc[rows][vectors];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead&) {
    static_for<rows * vectors>([&]<int i>() BYTEGATE_LAMBDA { acc[i / vectors][i % vectors] = I(0); });
    const auto* w = static_cast<const std::int8_t*>(panel);
    const auto* a = static_cast<const std::int8_t*>(lhs);
    std::size_t groups = rhs.k_groups;
    if (!rhs.has_minus_128) {
      for (; groups >= lanes; groups -= lanes, a += 16, w += lanes * group) {
        int16x8_t x[rows];
        load(x, a, stride);
        static_for<lanes / 2>([&]<int i>() BYTEGATE_LAMBDA { two_pairs<2 * i>(x, w + 2 * i * group); });
      }
    }
    // One product at a time: the rest of a row, or all of it if a weight is -128. The row's stride, a multiple of 64,
    // holds all 16 bytes that are loaded; lanes from `groups` on are not used.
    while (groups > 0) {
      int16x8_t x[rows];
      load(x, a, stride);
      const std::size_t used = groups < lanes ? groups : lanes;
      static_for<lanes>([&]<int lane>() BYTEGATE_LAMBDA {
        if (lane < used) one_pair<lane>(x, w + lane * group);
      });
      groups -= used, a += 16, w += lanes * group;
    }
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return acc[m][v];
  }

 private:
  static BYTEGATE_INLINE void load(int16x8_t (&x)[rows], const std::int8_t* a, std::size_t stride) {
    static_for<rows>([&]<int m>() BYTEGATE_LAMBDA { x[m] = vreinterpretq_s16_s8(vld1q_s8(a + m * stride)); });
  }

  template <int lane>
  BYTEGATE_INLINE void two_pairs(const int16x8_t (&x)[rows], const std::int8_t* w) {
    keep_loads_here();
    int8x16_t b0[halves], b1[halves];
    static_for<halves>([&]<int i>() BYTEGATE_LAMBDA {
      b0[i] = vld1q_s8(w + i * 16);
      b1[i] = vld1q_s8(w + group + i * 16);
    });
    // A row's pairs are repeated while the row before is multiplied: small cores wait for a result that is used at
    // once.
    int8x16_t x0[rows], x1[rows];
    const auto prepare = [&]<int m>() BYTEGATE_LAMBDA {
      x0[m] = repeat<lane>(x[m]);
      x1[m] = repeat<lane + 1>(x[m]);
      order_after(x0[m], x1[m]);
    };
    prepare.template operator()<0>();
    static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
      if constexpr (m + 1 < rows) prepare.template operator()<m + 1>();
      int16x8_t p[vectors];
      static_for<halves>([&]<int i>() BYTEGATE_LAMBDA {
        p[2 * i] = vmull_s8(vget_low_s8(b0[i]), vget_low_s8(x0[m]));
        p[2 * i + 1] = vmull_high_s8(b0[i], x0[m]);
      });
      static_for<halves>([&]<int i>() BYTEGATE_LAMBDA {
        p[2 * i] = vmlal_s8(p[2 * i], vget_low_s8(b1[i]), vget_low_s8(x1[m]));
        p[2 * i + 1] = vmlal_high_s8(p[2 * i + 1], b1[i], x1[m]);
      });
      static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA { acc[m][v] = vpadalq_s16(acc[m][v], p[v]); });
      order_after(acc[m]);
    });
  }

  template <int lane>
  BYTEGATE_INLINE void one_pair(const int16x8_t (&x)[rows], const std::int8_t* w) {
    static_for<halves>([&]<int half>() BYTEGATE_LAMBDA {
      const int8x16_t b = vld1q_s8(w + half * 16);
      static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
        const int8x16_t p = repeat<lane>(x[m]);
        acc[m][2 * half] = vpadalq_s16(acc[m][2 * half], vmull_s8(vget_low_s8(b), vget_low_s8(p)));
        acc[m][2 * half + 1] = vpadalq_s16(acc[m][2 * half + 1], vmull_high_s8(b, p));
      });
    });
  }

  template <int lane>
  static BYTEGATE_INLINE int8x16_t repeat(int16x8_t pairs) {
    return vreinterpretq_s8_s16(vdupq_laneq_s16(pairs, lane));
  }
};

/// 3 vectors of channels, or one: blocks of 4 channels. A vector of 16 weights is two groups of 4 channels x 2, and
/// their products with the two activation pairs are one sum of two.
template <int rows, int vectors>
struct NarrowTile {
  I acc[rows][vectors];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead&) {
    static_for<rows * vectors>([&]<int i>() BYTEGATE_LAMBDA { acc[i / vectors][i % vectors] = I(0); });
    const auto* w = static_cast<const std::int8_t*>(panel);
    const auto* a = static_cast<const std::int8_t*>(lhs);
    const std::size_t block = rhs.k_groups * 8;
    std::size_t groups = rhs.k_groups;
    for (; groups >= 2; groups -= 2, a += 4, w += 16) {
      int8x16_t x[rows];  // pairs of k, each 4 times
      static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
        x[m] = vreinterpretq_s8_s16(vcombine_s16(pair(a + m * stride), pair(a + m * stride + 2)));
      });
      static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
        const int8x16_t b = vld1q_s8(w + v * block);
        static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
          const int16x8_t p = vmull_s8(vget_low_s8(b), vget_low_s8(x[m]));
          if (rhs.has_minus_128) {
            acc[m][v] = vpadalq_s16(vpadalq_s16(acc[m][v], p), vmull_high_s8(b, x[m]));
          } else {
            acc[m][v] = vpadalq_s16(acc[m][v], vmlal_high_s8(p, b, x[m]));
          }
        });
      });
    }
    if (groups == 0) return;
    static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
      const int8x8_t b = vld1_s8(w + v * block);
      static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
        acc[m][v] = vpadalq_s16(acc[m][v], vmull_s8(b, vreinterpret_s8_s16(pair(a + m * stride))));
      });
    });
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return acc[m][v];
  }

 private:
  static BYTEGATE_INLINE int16x4_t pair(const std::int8_t* a) {
    std::int16_t two;
    __builtin_memcpy(&two, a, sizeof two);
    return vdup_n_s16(two);
  }
};

template <int rows, int vectors, int of>
struct TileOf {
  using Type = SmlalTile<rows, vectors, of>;
};
template <int rows>
struct TileOf<rows, 3, 3> {
  using Type = NarrowTile<rows, 3>;
};
template <int rows>
struct TileOf<rows, 1, 1> {
  using Type = NarrowTile<rows, 1>;
};

struct Isa : NeonInt8 {
  static constexpr std::uint32_t mr = 4, kr = 2;
  template <int rows, int vectors, int of = vectors>
  using Tile = typename TileOf<rows, vectors, of>::Type;
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    return vpadalq_s16(acc, vmull_s8(vget_low_s8(a), vget_low_s8(w)));
  }
};

}  // namespace
