// The int8 matrix multiply extension: smmla multiplies 2 rows x 8 k by 8 k x 2 channels into 2 x 2 int32, exactly. One
// row alone would leave half of that idle and takes sdot on the same weights.
#pragma once

#if !defined(__ARM_FEATURE_DOTPROD) || !defined(__ARM_FEATURE_MATMUL_INT8)
#error "compile this file with -march=armv8.2-a+dotprod+i8mm"
#endif

#define BYTEGATE_XSIMD xsimd_neoni8mm
#include "backends/common/neon_vectors.h"
#include "kernels/product.h"

namespace {

using I = NeonVectors::I;
using bytegate::PackedMatrix;
using bytegate::kernels::FetchAhead;
using bytegate::kernels::static_for;

/// Bytes of 8 k of a block, whose vectors hold 2 channels x 8.
template <int vectors>
constexpr std::size_t kGroup = NeonInt8::block<vectors>() * 8;

/// Two rows or more, in pairs; an odd last row is paired with itself.
template <int rows, int vectors, int of>
struct SmmlaTile {
  static constexpr int pairs = (rows + 1) / 2, halves = 2 * vectors;
  static constexpr int chains =
      rows == 2 ? 2 : 1;         // two rows leave too few independent sums to hide the latency of smmla
  I acc[chains][pairs][halves];  // {row 0, row 0, row 1, row 1} x {channel 0, channel 1, channel 0, channel 1}

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead&) {
    static_for<chains * pairs * halves>(
        [&]<int i>() BYTEGATE_LAMBDA { acc[i / (pairs * halves)][i / halves % pairs][i % halves] = I(0); });
    const auto* a = static_cast<const std::int8_t*>(lhs);
    const auto* w = static_cast<const std::int8_t*>(panel);
    std::size_t groups = rhs.k_groups;
    for (; groups >= chains; groups -= chains, a += chains * 8, w += chains * kGroup<of>) {
      static_for<chains>([&]<int c>()
                             BYTEGATE_LAMBDA { step<c>(a + c * 8, stride, w + c * kGroup<of>, rhs.k_groups); });
    }
    if (groups > 0) step<0>(a, stride, w, rhs.k_groups);
    if constexpr (chains == 2) {
      static_for<halves>([&]<int v>() BYTEGATE_LAMBDA { acc[0][0][v] += acc[1][0][v]; });
    }
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    const int64x2_t left = vreinterpretq_s64_s32(acc[0][m / 2][2 * v]),
                    right = vreinterpretq_s64_s32(acc[0][m / 2][2 * v + 1]);
    return vreinterpretq_s32_s64(m % 2 == 0 ? vtrn1q_s64(left, right) : vtrn2q_s64(left, right));
  }

 private:
  template <int c>
  BYTEGATE_INLINE void step(const std::int8_t* a, std::size_t stride, const std::int8_t* w, std::size_t groups) {
    int8x16_t x[pairs];
    static_for<pairs>([&]<int p>() BYTEGATE_LAMBDA {
      constexpr int second = 2 * p + 1 < rows ? 2 * p + 1 : 2 * p;
      x[p] = vcombine_s8(vld1_s8(a + 2 * p * stride), vld1_s8(a + second * stride));
    });
    static_for<halves>([&]<int v>() BYTEGATE_LAMBDA {
      if constexpr (v % 2 == 0) keep_loads_here();
      const int8x16_t b = vld1q_s8(w + NeonInt8::offset<of, 2 * v, 8>(groups));
      static_for<pairs>([&]<int p>() BYTEGATE_LAMBDA { acc[c][p][v] = vmmlaq_s32(acc[c][p][v], x[p], b); });
    });
  }
};

/// One row: sdot sums k 0..3 and 4..7 of two channels into four lanes.
template <int vectors, int of>
struct SmmlaTile<1, vectors, of> {
  static constexpr int chains = 2, halves = 2 * vectors;
  I acc[chains][halves];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t, const void* panel, const PackedMatrix& rhs, FetchAhead&) {
    static_for<chains * halves>([&]<int i>() BYTEGATE_LAMBDA { acc[i / halves][i % halves] = I(0); });
    const auto* a = static_cast<const std::int8_t*>(lhs);
    const auto* w = static_cast<const std::int8_t*>(panel);
    std::size_t groups = rhs.k_groups;
    for (; groups >= chains; groups -= chains, a += chains * 8, w += chains * kGroup<of>) {
      static_for<chains>([&]<int c>() BYTEGATE_LAMBDA { step<c>(a + c * 8, w + c * kGroup<of>, rhs.k_groups); });
    }
    if (groups > 0) step<0>(a, w, rhs.k_groups);
    static_for<halves>([&]<int v>() BYTEGATE_LAMBDA { acc[0][v] += acc[1][v]; });
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return vpaddq_s32(acc[0][2 * v], acc[0][2 * v + 1]);
  }

 private:
  template <int c>
  BYTEGATE_INLINE void step(const std::int8_t* a, const std::int8_t* w, std::size_t groups) {
    const int8x8_t eight = vld1_s8(a);
    const int8x16_t x = vcombine_s8(eight, eight);
    static_for<halves>([&]<int v>() BYTEGATE_LAMBDA {
      acc[c][v] = vdotq_s32(acc[c][v], vld1q_s8(w + NeonInt8::offset<of, 2 * v, 8>(groups)), x);
    });
  }
};

struct Isa : NeonInt8 {
  static constexpr std::uint32_t mr = 6, kr = 8;
  template <int rows, int vectors, int of = vectors>
  using Tile = SmmlaTile<rows, vectors, of>;
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return vmmlaq_s32(acc, a, w); }
};

}  // namespace
