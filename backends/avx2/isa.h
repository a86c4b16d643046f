// AVX2: exact int8 products by widening to 16 bits. A pair of products is at most 2 * 255 * 128 = 65,280 and madd adds
// it in int32. Activations are staged as 16 bits (two of them are what is broadcast); a vector of weights is widened
// when it is loaded, once for all rows of a tile.
#pragma once

#define BYTEGATE_XSIMD xsimd_avx2
#include "backends/common/avx2_vectors.h"
#include "kernels/unrolled_tile.h"

namespace {

struct Isa : Avx2Vectors {
  static constexpr std::uint32_t mr = 6, l2_bytes = 512 << 10, block_channels = 16, kr = 2, lhs_size = 2,
                                 least_vectors = 1, independent_sums = 4;
  static constexpr std::int32_t activation_bias = 0;
  static constexpr bool row_by_pairs = true;
  // Six rows by two vectors of sums, two of weights, an activation and a product: all 16 registers.
  template <int rows, int vectors, int of = vectors>
  using Tile = bytegate::kernels::UnrolledTile<Isa, rows, vectors, of>;

  using Lhs = __m256i;
  using Rhs = I;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    return I(pair);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
  }
  /// The sum in the register it came in: g++ would put it into another and copy it back.
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    asm("vpaddd %1, %0, %0" : "+x"(acc.data) : "x"(_mm256_madd_epi16(a, w)));
    return acc;
  }
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return acc + I(_mm256_madd_epi16(a, b)); }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(quantized(v, zero_point)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm_cvtepu8_epi16(bytes));
  }
  static BYTEGATE_INLINE void store_four_quantized(std::uint8_t* q, F a, F b, F c, F d, I zero_point) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), clamped(a, b, zero_point));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + 32), clamped(c, d, zero_point));
  }

 private:
  static BYTEGATE_INLINE __m256i clamped(F a, F b, I zero_point) {
    const __m256i x = _mm256_max_epi16(words(a, b, zero_point), _mm256_setzero_si256());
    return _mm256_permute4x64_epi64(_mm256_min_epi16(x, _mm256_set1_epi16(255)), 0xd8);
  }
};

}  // namespace
