// 8 floats or int32 in AVX2 with FMA: what the 256-bit x86 backends share. Included by ISA files only.
#pragma once

#if !defined(__AVX2__) || !defined(__FMA__)
#error "compile this file with -mavx2 -mfma"
#endif

#include <immintrin.h>

#include "backends/common/xsimd_vectors.h"

namespace {

/// Not xsimd's plain avx2, whose fma is a product and a sum.
struct Avx2Vectors : XsimdVectors<xs::fma3<xs::avx2>> {
  static constexpr std::uint32_t registers = 16, float_mr = 3;

  // Memory past the n-th lane may not be mapped, and xsimd has no masked loads and stores.
  static BYTEGATE_INLINE F load_first(const float* p, std::size_t n) { return _mm256_maskload_ps(p, first(n)); }
  static BYTEGATE_INLINE void store_first(float* p, F v, std::size_t n) { _mm256_maskstore_ps(p, first(n), v); }

  static BYTEGATE_INLINE F swap_neighbours(F v) { return _mm256_permute_ps(v, 0xb1); }
  static BYTEGATE_INLINE F alternate(F even, I odd) { return _mm256_blend_ps(even, _mm256_castsi256_ps(odd), 0xaa); }

  // xsimd reduces by sums only.
  static BYTEGATE_INLINE float reduce_max_as_signed(F v) {
    return reduce(v, [](__m128i a, __m128i b) BYTEGATE_LAMBDA { return _mm_max_epi32(a, b); });
  }
  static BYTEGATE_INLINE float reduce_max_as_unsigned(F v) {
    return reduce(v, [](__m128i a, __m128i b) BYTEGATE_LAMBDA { return _mm_max_epu32(a, b); });
  }

  /// clamp(round_half_even(v) + zero_point, 0, 255), 8 bytes: xsimd has no saturating packs.
  static BYTEGATE_INLINE std::uint64_t quantized(F v, I zero_point) {
    const __m256i x = to_int(v) + zero_point;
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
  }
  /// round_half_even(v) + zero_point of two vectors within 256, as 16 bits; each half holds four of a, then four of b.
  static BYTEGATE_INLINE __m256i words(F a, F b, I zero_point) {
    return _mm256_add_epi16(_mm256_packs_epi32(to_int(a), to_int(b)), _mm256_packs_epi32(zero_point, zero_point));
  }

 private:
  static BYTEGATE_INLINE __m256i first(std::size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  template <class Op>
  static BYTEGATE_INLINE float reduce(F v, const Op& op) {
    const __m256i x = _mm256_castps_si256(v);
    __m128i y = op(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = op(y, _mm_unpackhi_epi64(y, y));
    return _mm_cvtss_f32(_mm_castsi128_ps(op(y, _mm_shuffle_epi32(y, 1))));
  }
};

}  // namespace
