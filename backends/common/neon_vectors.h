// 4 floats or int32 in Advanced SIMD: what the Arm backends share. Included by ISA files only.
#pragma once

#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for aarch64 with Advanced SIMD"
#endif

#include <arm_neon.h>
#include <bytegate/backend.h>

#include "backends/common/xsimd_vectors.h"

namespace {

/// Compilers move the loads of a whole step to its front and gather work of one kind, and then have no registers left
/// for the sums. Loads written after keep_loads_here() stay after it; what uses values after order_after(values...)
/// stays after the order_after calls before.
BYTEGATE_INLINE void keep_loads_here() { asm volatile("" ::: "memory"); }
BYTEGATE_INLINE void order_after(int8x16_t& a, int8x16_t& b) { asm volatile("" : "+w"(a), "+w"(b)); }
BYTEGATE_INLINE void order_after(int8x16_t (&v)[1]) { asm volatile("" : "+w"(v[0])); }
BYTEGATE_INLINE void order_after(int8x16_t (&v)[2]) { asm volatile("" : "+w"(v[0]), "+w"(v[1])); }
BYTEGATE_INLINE void order_after(int8x16_t (&v)[3]) { asm volatile("" : "+w"(v[0]), "+w"(v[1]), "+w"(v[2])); }
BYTEGATE_INLINE void order_after(int8x16_t (&v)[4]) {
  asm volatile("" : "+w"(v[0]), "+w"(v[1]), "+w"(v[2]), "+w"(v[3]));
}
template <class Batch>
BYTEGATE_INLINE void order_after(Batch (&v)[2]) {
  asm volatile("" : "+w"(v[0].data), "+w"(v[1].data));
}
template <class Batch>
BYTEGATE_INLINE void order_after(Batch (&v)[4]) {
  asm volatile("" : "+w"(v[0].data), "+w"(v[1].data), "+w"(v[2].data), "+w"(v[3].data));
}

struct NeonVectors : XsimdVectors<xs::neon64> {
  static constexpr std::uint32_t registers = 32, float_mr = 6;

  // n is 1, 2 or 3. Lane by lane: there are no masked loads, and memory past the n-th lane may not be mapped.
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) {
    float32x4_t v = vsetq_lane_f32(p[0], vdupq_n_f32(0.0f), 0);
    if (n > 1) v = vsetq_lane_f32(p[1], v, 1);
    if (n > 2) v = vsetq_lane_f32(p[2], v, 2);
    return v;
  }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) {
    p[0] = vgetq_lane_f32(v, 0);
    if (n > 1) p[1] = vgetq_lane_f32(v, 1);
    if (n > 2) p[2] = vgetq_lane_f32(v, 2);
  }

  static BYTEGATE_INLINE F swap_neighbours(F v) { return vrev64q_f32(v); }
  static BYTEGATE_INLINE F alternate(F even, I odd) {
    return vbslq_f32(vreinterpretq_u32_u64(vdupq_n_u64(0xffffffff00000000u)), vreinterpretq_f32_s32(odd), even);
  }

  // Compare and select: xsimd has fmin and fmax, which treat NaN and signed zeros differently from the other backends.
  static BYTEGATE_INLINE F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static BYTEGATE_INLINE F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

  // xsimd looks these up in a tuple, as it does operators (xsimd_neon_operators.h).
  static BYTEGATE_INLINE F max_as_signed(F a, F b) {
    return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b)));
  }
  static BYTEGATE_INLINE F max_as_unsigned(F a, F b) {
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
  }
  static BYTEGATE_INLINE float reduce_max_as_signed(F v) {
    return __builtin_bit_cast(float, vmaxvq_s32(vreinterpretq_s32_f32(v)));
  }
  static BYTEGATE_INLINE float reduce_max_as_unsigned(F v) {
    return __builtin_bit_cast(float, vmaxvq_u32(vreinterpretq_u32_f32(v)));
  }
};

/// What the int8 products of the Arm backends share: they are signed by signed.
struct NeonInt8 : NeonVectors {
  static constexpr std::uint32_t l2_bytes = 1 << 20, block_channels = 16, lhs_size = 1, least_vectors = 2;
  static constexpr std::int32_t activation_bias = 128;
  using Lhs = int8x16_t;
  using Rhs = int8x16_t;

  // The benchmarks' view of a product: `dot` on whole vectors. The tiles load by more than one group.
  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) { return vreinterpretq_s8_u8(vld1q_u8(a)); }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return vld1q_s8(w); }

  /// Where channel `n` of a group begins in a panel of `vectors` vectors of channels with kr k a group, in bytes: in
  /// groups of block * kr bytes, block being the channels of a block; the blocks are groups * block * kr bytes apart.
  template <int vectors>
  static constexpr std::size_t block() {
    return bytegate::recurrent_layout({4 * width, block_channels, 1, 1}, vectors).block_channels;
  }
  template <int vectors, int n, std::size_t kr>
  static BYTEGATE_INLINE std::size_t offset(std::size_t groups) {
    return n / block<vectors>() * groups * (block<vectors>() * kr) + n % block<vectors>() * kr;
  }

  /// clamp(round_half_even(v) + zero_point, 0, 255) - 128 = clamp(round_half_even(v) + zero_point - 128, -128, 127), 4
  /// bytes: xsimd has no saturating packs.
  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const I x = to_int(v) + (zero_point - I(activation_bias));
    const int16x4_t words = vqmovn_s32(x);
    const std::uint32_t bytes = vget_lane_u32(vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(q, &bytes, sizeof bytes);
  }
};

}  // namespace
