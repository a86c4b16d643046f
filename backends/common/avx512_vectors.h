// 16 floats or int32 in AVX-512: what the 512-bit x86 backends share. Included by ISA files only.
#pragma once

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#include <immintrin.h>

#include "backends/common/xsimd_vectors.h"

namespace {

struct Avx512Vectors : XsimdVectors<xs::avx512bw> {
  static constexpr std::uint32_t registers = 32, float_mr = 6;

  // Memory past the n-th lane may not be mapped, and xsimd has no masked loads and stores.
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }

  static BYTEGATE_INLINE F swap_neighbours(F v) { return _mm512_permute_ps(v, 0xb1); }
  static BYTEGATE_INLINE F alternate(F even, I odd) {
    return _mm512_mask_blend_ps(0xaaaa, even, _mm512_castsi512_ps(odd));
  }

  /// xsimd's is a product and a sum.
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }

  // xsimd reduces by sums only.
  static BYTEGATE_INLINE float reduce_max_as_signed(F v) {
    return reduce(v, [](__m128i a, __m128i b) BYTEGATE_LAMBDA { return _mm_max_epi32(a, b); });
  }
  static BYTEGATE_INLINE float reduce_max_as_unsigned(F v) {
    return reduce(v, [](__m128i a, __m128i b) BYTEGATE_LAMBDA { return _mm_max_epu32(a, b); });
  }

  /// round_half_even(v) + zero_point of two vectors within 256, as 16 bits; each quarter holds four of a, then four of
  /// b.
  static BYTEGATE_INLINE __m512i words(F a, F b, I zero_point) {
    return _mm512_add_epi16(_mm512_packs_epi32(to_int(a), to_int(b)), _mm512_packs_epi32(zero_point, zero_point));
  }

 private:
  static BYTEGATE_INLINE __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  template <class Op>
  static BYTEGATE_INLINE float reduce(F v, const Op& op) {
    __m512i x = _mm512_castps_si512(v);
    // In one of the first 16 registers. Others are not what g++ means by vzeroupper: it may put one in front of these
    // instructions, after which they leave the upper halves in use, and the caller's SSE code slow.
    asm("" : "+x"(x));
    const __m128i a = op(_mm512_castsi512_si128(x), _mm512_extracti32x4_epi32(x, 1));
    const __m128i b = op(_mm512_extracti32x4_epi32(x, 2), _mm512_extracti32x4_epi32(x, 3));
    __m128i y = op(a, b);
    y = op(y, _mm_unpackhi_epi64(y, y));
    return _mm_cvtss_f32(_mm_castsi128_ps(op(y, _mm_shuffle_epi32(y, 1))));
  }
};

}  // namespace
