// AVX2: exact int8 products by widening to 16 bits. A pair of products is at most 2 * 255 * 128 = 65,280 and madd adds it in int32. Activations
// are staged as 16 bits (two of them are what is broadcast); a vector of weights is widened when it is loaded, once for all rows of a tile.
#pragma once

#include "backends/common/avx2_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx2Vectors {
  static constexpr std::uint32_t mr = 6, float_mr = 3, nb = 16, kr = 2, splits_minus_128 = 0;
  static constexpr std::uint32_t lhs_size = 2, independent_sums = 4;
  static constexpr std::int32_t lhs_offset = 0;
  // Six rows by two vectors of sums, two of weights, an activation and a product: all 16 registers.
  template <int rows>
  using Int8Tile = bytegate::kernels::DotTile<Isa, rows, rows <= 2 ? 4 : 2>;

  using Lhs = __m256i;
  using Rhs = __m256i;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    return _mm256_set1_epi32(pair);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
  }
  /// The sum in the register it came in: g++ would put it into another and copy it back.
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    asm("vpaddd %1, %0, %0" : "+x"(acc) : "x"(_mm256_madd_epi16(a, w)));
    return acc;
  }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(quantized(v, zero_point)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm_cvtepu8_epi16(bytes));
  }
};

}  // namespace
