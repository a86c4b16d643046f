// 8 floats or int32 in AVX2 with FMA: what the 256-bit x86 backends share. Included by ISA files only.
#pragma once

#if !defined(__AVX2__) || !defined(__FMA__)
#error "compile this file with -mavx2 -mfma"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/unroll.h"

namespace {

struct Avx2Vectors {
  static constexpr std::uint32_t width = 8;
  using F = __m256;
  using I = __m256i;

  static BYTEGATE_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
  static BYTEGATE_INLINE void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) { return _mm256_maskload_ps(p, first(n)); }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) { _mm256_maskstore_ps(p, first(n), v); }
  static BYTEGATE_INLINE F set(float v) { return _mm256_set1_ps(v); }
  static BYTEGATE_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
  static BYTEGATE_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static BYTEGATE_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
  static BYTEGATE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static BYTEGATE_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
  static BYTEGATE_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }

  static BYTEGATE_INLINE float reduce_add(F v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }
  static BYTEGATE_INLINE float reduce_min(F v) {
    __m128 x = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_min_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
  }
  static BYTEGATE_INLINE float reduce_max(F v) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }

  static BYTEGATE_INLINE I load_i(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static BYTEGATE_INLINE I set_i(std::int32_t v) { return _mm256_set1_epi32(v); }
  static BYTEGATE_INLINE I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
  static BYTEGATE_INLINE I mul_i(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static BYTEGATE_INLINE void keep(I& v) { asm volatile("" : "+x"(v)); }
  static BYTEGATE_INLINE F to_float(I v) { return _mm256_cvtepi32_ps(v); }

  /// clamp(round_half_even(v) + zero_point, 0, 255), 8 bytes.
  static BYTEGATE_INLINE std::uint64_t quantized(F v, I zero_point) {
    const __m256i x = _mm256_add_epi32(_mm256_cvtps_epi32(v), zero_point);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
  }

 private:
  static BYTEGATE_INLINE __m256i first(std::size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace
