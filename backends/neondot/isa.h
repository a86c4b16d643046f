// The dot product extension: sdot sums 4 signed products into each int32 lane, exactly.
#pragma once

#ifndef __ARM_FEATURE_DOTPROD
#error "compile this file with -march=armv8.2-a+dotprod"
#endif

#define BYTEGATE_XSIMD xsimd_neondot
#include "backends/common/neon_vectors.h"
#include "kernels/product.h"

namespace {

using I = NeonVectors::I;
using bytegate::PackedMatrix;
using bytegate::kernels::FetchAhead;
using bytegate::kernels::static_for;

/// 16 k at a time: one load a row, whose four groups of 4 meet the weights by lane.
template <int rows, int vectors, int of>
struct SdotTile {
  static constexpr int lanes = 4;
  // One row or two leave too few independent sums to hide the latency of sdot: the lanes get sums of their own.
  static constexpr int chains = rows == 1 ? 4 : rows == 2 ? 2 : 1;
  static constexpr std::size_t group = NeonInt8::block<of>() * 4;  // bytes of 4 k of a block
  I acc[chains][rows][vectors];

  BYTEGATE_INLINE void run(const void* lhs, std::size_t stride, const void* panel, const PackedMatrix& rhs,
                           FetchAhead&) {
    static_for<chains * rows * vectors>(
        [&]<int i>() BYTEGATE_LAMBDA { acc[i / (rows * vectors)][i / vectors % rows][i % vectors] = I(0); });
    const auto* a = static_cast<const std::int8_t*>(lhs);
    const auto* w = static_cast<const std::int8_t*>(panel);
    std::size_t groups = rhs.k_groups;
    for (; groups >= lanes; groups -= lanes, a += 16, w += lanes * group) {
      int8x16_t x[rows];
      static_for<rows>([&]<int m>() BYTEGATE_LAMBDA { x[m] = vld1q_s8(a + m * stride); });
      static_for<lanes>([&]<int lane>() BYTEGATE_LAMBDA { step<lane>(x, w + lane * group, rhs.k_groups); });
    }
    if (groups > 0) {  // the row's stride, a multiple of 64, holds all 16 bytes; lanes from `groups` on are not used
      int8x16_t x[rows];
      static_for<rows>([&]<int m>() BYTEGATE_LAMBDA { x[m] = vld1q_s8(a + m * stride); });
      static_for<lanes - 1>([&]<int lane>() BYTEGATE_LAMBDA {
        if (lane < groups) step<lane>(x, w + lane * group, rhs.k_groups);
      });
    }
    static_for<rows * vectors>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int m = i / vectors, v = i % vectors;
      static_for<chains - 1>([&]<int c>() BYTEGATE_LAMBDA { acc[0][m][v] += acc[c + 1][m][v]; });
    });
  }

  template <int m, int v>
  BYTEGATE_INLINE I sum() const {
    return acc[0][m][v];
  }

 private:
  template <int lane>
  BYTEGATE_INLINE void step(const int8x16_t (&x)[rows], const std::int8_t* w, std::size_t groups) {
    int8x16_t b[vectors];
    static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA { b[v] = vld1q_s8(w + NeonInt8::offset<of, 4 * v, 4>(groups)); });
    order_after(b);  // all loads first: small cores wait for a load that is used at once
    static_for<rows>([&]<int m>() BYTEGATE_LAMBDA {
      static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
        acc[lane % chains][m][v] = vdotq_laneq_s32(acc[lane % chains][m][v], b[v], x[m], lane);
      });
    });
  }
};

struct Isa : NeonInt8 {
  static constexpr std::uint32_t mr = 4, kr = 4;
  template <int rows, int vectors, int of = vectors>
  using Tile = SdotTile<rows, vectors, of>;
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return vdotq_s32(acc, a, w); }
};

}  // namespace
