// Plain C++ for every CPU: vectors of one lane.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/product.h"
#include "kernels/quantize.h"

namespace {

struct Isa {
  // One sum is enough: compilers vectorize over k, and several took 1.3 to 1.8 times the instructions, and 19 KB more.
  static constexpr std::uint32_t width = 1, registers = 16, float_mr = 1, mr = 1, block_channels = 1, kr = 4,
                                 l2_bytes = 1 << 20, lhs_size = 1, least_vectors = 4, independent_sums = 1;
  static constexpr std::int32_t activation_bias = 0;
  using F = float;
  using I = std::uint32_t;  // wraps; the final sum fits int32 (kMaxK)

  static BYTEGATE_INLINE F load(const float* p) { return *p; }
  static BYTEGATE_INLINE I load(const std::int32_t* p) { return static_cast<I>(*p); }
  static BYTEGATE_INLINE void store(float* p, F v) { *p = v; }
  static BYTEGATE_INLINE F load_first(const float*, std::size_t) { return 0.0f; }
  static BYTEGATE_INLINE void store_first(float*, F, std::size_t) {}
  static BYTEGATE_INLINE F min(F a, F b) { return a < b ? a : b; }
  static BYTEGATE_INLINE F max(F a, F b) { return a > b ? a : b; }
  static BYTEGATE_INLINE F max_as_signed(F a, F b) {
    return __builtin_bit_cast(std::int32_t, a) > __builtin_bit_cast(std::int32_t, b) ? a : b;
  }
  static BYTEGATE_INLINE F max_as_unsigned(F a, F b) {
    return __builtin_bit_cast(std::uint32_t, a) > __builtin_bit_cast(std::uint32_t, b) ? a : b;
  }
  static BYTEGATE_INLINE float reduce_max_as_signed(F v) { return v; }
  static BYTEGATE_INLINE float reduce_max_as_unsigned(F v) { return v; }
  static BYTEGATE_INLINE F to_float(I v) { return static_cast<float>(static_cast<std::int32_t>(v)); }

#ifdef __FP_FAST_FMAF
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
#else
  /// The product of two floats is exact in double. Rounding its sum with c to double first could turn the rounding to
  /// float at a tie, so an inexact sum is made odd (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums",
  /// 2008).
  static __attribute__((noinline)) F fma(F a, F b, F c) {
    const double product = static_cast<double>(a) * b;
    double sum = product + c;
    const double part = sum - product;
    const double error = (product - (sum - part)) + (c - part);
    if (error > 0 || error < 0) {
      std::uint64_t bits;
      std::memcpy(&bits, &sum, sizeof bits);
      if ((bits & 1) == 0) bits += (error > 0) == (sum > 0) ? 1u : ~std::uint64_t{0};
      std::memcpy(&sum, &bits, sizeof sum);
    }
    return static_cast<float>(sum);
  }
#endif

  /// One channel after the other.
  template <int rows, int vectors, int of = vectors>
  struct Tile {
    static_assert(rows == 1);
    I sums[vectors];

    BYTEGATE_INLINE void run(const void* lhs, std::size_t, const void* panel, const bytegate::PackedMatrix& rhs,
                             bytegate::kernels::FetchAhead&) {
      bytegate::kernels::static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
        sums[v] = channel_sum(lhs, static_cast<const std::int8_t*>(panel) + v * rhs.k_groups * kr, rhs);
      });
    }
    template <int r, int v>
    BYTEGATE_INLINE I sum() const {
      return sums[v];
    }
  };

  using Lhs = const std::uint8_t*;
  using Rhs = const std::int8_t*;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) { return a; }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return w; }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    return acc + static_cast<I>(a[0] * w[0] + a[1] * w[1] + a[2] * w[2] + a[3] * w[3]);
  }
  /// A function of its own: vectorized by a compiler it has 2 KB.
  static __attribute__((noinline)) I channel_sum(const void* lhs, const void* weights,
                                                 const bytegate::PackedMatrix& rhs) {
    bytegate::kernels::DotTile<Isa, 1, 1, 1> tile;
    bytegate::kernels::FetchAhead nothing;
    tile.run(lhs, 0, weights, rhs, nothing);
    return tile.template sum<0, 0>();
  }
  template <class T>
  static BYTEGATE_INLINE void pin_register(T&) {}

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const auto x =
        static_cast<std::int32_t>(bytegate::kernels::round_half_even<Isa>(v)) + static_cast<std::int32_t>(zero_point);
    *q = static_cast<std::uint8_t>(x < 0 ? 0 : x > 255 ? 255 : x);
  }
};

}  // namespace
