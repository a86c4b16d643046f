// 4 floats or int32 in Advanced SIMD: what the Arm backends share. Included by ISA files only.
#pragma once

#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "compile this file for aarch64 with Advanced SIMD"
#endif

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/unroll.h"

namespace {

/// Compilers move the loads of a whole step to its front and gather work of one kind, and then have no registers left for the
/// sums. Loads written after keep_loads_here() stay after it; what uses values after keep_order(values...) stays after the
/// keep_order calls before.
BYTEGATE_INLINE void keep_loads_here() { asm volatile("" ::: "memory"); }
BYTEGATE_INLINE void keep_order(int8x16_t& a, int8x16_t& b) { asm volatile("" : "+w"(a), "+w"(b)); }
template <class V>
BYTEGATE_INLINE void keep_order(V (&v)[4]) {
  asm volatile("" : "+w"(v[0]), "+w"(v[1]), "+w"(v[2]), "+w"(v[3]));
}

struct NeonVectors {
  static constexpr std::uint32_t width = 4, lhs_size = 1;
  static constexpr std::int32_t lhs_offset = 128;  // the products are signed by signed
  using F = float32x4_t;
  using I = int32x4_t;
  using Lhs = int8x16_t;
  using Rhs = int8x16_t;

  static BYTEGATE_INLINE F load(const float* p) { return vld1q_f32(p); }
  static BYTEGATE_INLINE void store(float* p, F v) { vst1q_f32(p, v); }
  // n is 1, 2 or 3. Lane by lane: there are no masked loads, and memory past the n-th lane may not be mapped.
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) {
    F v = vsetq_lane_f32(p[0], vdupq_n_f32(0.0f), 0);
    if (n > 1) v = vsetq_lane_f32(p[1], v, 1);
    if (n > 2) v = vsetq_lane_f32(p[2], v, 2);
    return v;
  }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) {
    p[0] = vgetq_lane_f32(v, 0);
    if (n > 1) p[1] = vgetq_lane_f32(v, 1);
    if (n > 2) p[2] = vgetq_lane_f32(v, 2);
  }
  static BYTEGATE_INLINE F set(float v) { return vdupq_n_f32(v); }
  static BYTEGATE_INLINE F add(F a, F b) { return vaddq_f32(a, b); }
  static BYTEGATE_INLINE F mul(F a, F b) { return vmulq_f32(a, b); }
  static BYTEGATE_INLINE F div(F a, F b) { return vdivq_f32(a, b); }
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  // Compare and select: fmin and fminnm treat NaN and signed zeros differently from the other backends.
  static BYTEGATE_INLINE F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static BYTEGATE_INLINE F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

  static BYTEGATE_INLINE float reduce_add(F v) {
    return (vgetq_lane_f32(v, 0) + vgetq_lane_f32(v, 2)) + (vgetq_lane_f32(v, 1) + vgetq_lane_f32(v, 3));
  }
  static BYTEGATE_INLINE float reduce_min(F v) {
    const F x = min(v, vextq_f32(v, v, 2));
    return vgetq_lane_f32(min(x, vextq_f32(x, x, 1)), 0);
  }
  static BYTEGATE_INLINE float reduce_max(F v) {
    const F x = max(v, vextq_f32(v, v, 2));
    return vgetq_lane_f32(max(x, vextq_f32(x, x, 1)), 0);
  }

  static BYTEGATE_INLINE I load_i(const std::int32_t* p) { return vld1q_s32(p); }
  static BYTEGATE_INLINE I set_i(std::int32_t v) { return vdupq_n_s32(v); }
  static BYTEGATE_INLINE I add_i(I a, I b) { return vaddq_s32(a, b); }
  static BYTEGATE_INLINE I mul_i(I a, I b) { return vmulq_s32(a, b); }
  static BYTEGATE_INLINE F to_float(I v) { return vcvtq_f32_s32(v); }

  // The benchmarks' view of a product: `dot` of each trait, on whole vectors. The tiles load by more than one group.
  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) { return vreinterpretq_s8_u8(vld1q_u8(a)); }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return vld1q_s8(w); }

  /// clamp(round_half_even(v) + zero_point, 0, 255) - 128 = clamp(round_half_even(v) + zero_point - 128, -128, 127), 4 bytes.
  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const I x = vaddq_s32(vcvtnq_s32_f32(v), vsubq_s32(zero_point, vdupq_n_s32(lhs_offset)));
    const int16x4_t words = vqmovn_s32(x);
    const std::uint32_t bytes = vget_lane_u32(vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(q, &bytes, sizeof bytes);
  }
};

}  // namespace
