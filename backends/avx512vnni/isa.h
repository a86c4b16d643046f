// AVX-512 VNNI: vpdpbusd on 512 bits. Never the saturating form.
#pragma once

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__) || !defined(__AVX512VNNI__)
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni"
#endif

#include <immintrin.h>

#include "kernels/product.h"

namespace {

struct Isa {
  static constexpr std::uint32_t width = 16, mr = 6, float_mr = 6, nb = 16, kr = 4, splits_minus_128 = 0;
  static constexpr std::uint32_t lhs_size = 1, independent_sums = 16;
  static constexpr std::int32_t lhs_offset = 0;
  using F = __m512;
  using I = __m512i;
  template <int rows>
  using Int8Tile = bytegate::kernels::DotTile<Isa, rows>;

  static BYTEGATE_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
  static BYTEGATE_INLINE void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static BYTEGATE_INLINE F set(float v) { return _mm512_set1_ps(v); }
  static BYTEGATE_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  static BYTEGATE_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static BYTEGATE_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static BYTEGATE_INLINE F min(F a, F b) { return _mm512_maskz_min_ps(kAll, a, b); }
  static BYTEGATE_INLINE F max(F a, F b) { return _mm512_maskz_max_ps(kAll, a, b); }

  static BYTEGATE_INLINE float reduce_add(F v) { return reduce(v, [](__m128 a, __m128 b) { return _mm_add_ps(a, b); }); }
  static BYTEGATE_INLINE float reduce_min(F v) { return reduce(v, [](__m128 a, __m128 b) { return _mm_min_ps(a, b); }); }
  static BYTEGATE_INLINE float reduce_max(F v) { return reduce(v, [](__m128 a, __m128 b) { return _mm_max_ps(a, b); }); }

  static BYTEGATE_INLINE I load_i(const void* p) { return _mm512_loadu_si512(p); }
  static BYTEGATE_INLINE I set_i(std::int32_t v) { return _mm512_set1_epi32(v); }
  static BYTEGATE_INLINE I add_i(I a, I b) { return _mm512_add_epi32(a, b); }
  static BYTEGATE_INLINE I mul_i(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static BYTEGATE_INLINE void keep(I& v) { asm volatile("" : "+v"(v)); }
  static BYTEGATE_INLINE F to_float(I v) { return _mm512_maskz_cvtepi32_ps(kAll, v); }

  using Lhs = __m512i;
  using Rhs = __m512i;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return _mm512_set1_epi32(group);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return _mm512_loadu_si512(w); }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return _mm512_dpbusd_epi32(acc, a, w); }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const __m512i x = _mm512_maskz_max_epi32(kAll, _mm512_add_epi32(_mm512_maskz_cvtps_epi32(kAll, v), zero_point), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_maskz_cvtusepi32_epi8(kAll, x));
  }

 private:
  // g++ 12 warns of the undefined vector inside its unmasked intrinsics; with all lanes on, the masked ones are the same instruction.
  static constexpr __mmask16 kAll = 0xffff;
  static BYTEGATE_INLINE __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  template <class Op>
  static BYTEGATE_INLINE float reduce(F v, const Op& op) {
    const __m128 a = op(_mm512_maskz_extractf32x4_ps(0xf, v, 0), _mm512_maskz_extractf32x4_ps(0xf, v, 1));
    const __m128 b = op(_mm512_maskz_extractf32x4_ps(0xf, v, 2), _mm512_maskz_extractf32x4_ps(0xf, v, 3));
    __m128 x = op(a, b);
    x = op(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(op(x, _mm_movehdup_ps(x)));
  }
};

}  // namespace
