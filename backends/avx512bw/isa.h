// AVX-512 without VNNI: exact int8 products by widening to 16 bits, as in avx2, on 512 bits. A pair of products is at
// most 2 * 255 * 128 = 65,280 and madd adds it in int32. Activations are staged as 16 bits (two of them are what is
// broadcast); a vector of weights is widened when it is loaded, once for all rows of a tile.
#pragma once

#define BYTEGATE_XSIMD xsimd_avx512bw
#include "backends/common/avx512_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx512Vectors {
  static constexpr std::uint32_t mr = 6, l2_bytes = 512 << 10, block_channels = 32, kr = 2, lhs_size = 2,
                                 least_vectors = 1, independent_sums = 8;
  static constexpr std::int32_t activation_bias = 0;
  // Six rows by four vectors of sums, four of weights, an activation and a product: 30 of 32 registers.
  template <int rows, int vectors, int of = vectors>
  using Tile = bytegate::kernels::DotTile<Isa, rows, vectors, vectors, of>;

  using Lhs = __m512i;
  using Rhs = I;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    return I(pair);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)));
  }
  /// The sum in the register it came in: g++ would put it into another and copy it back.
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    asm("vpaddd %1, %0, %0" : "+v"(acc.data) : "v"(_mm512_madd_epi16(a, w)));
    return acc;
  }
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return acc + I(_mm512_madd_epi16(a, b)); }

  /// xsimd has no saturating packs.
  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const I x = xs::min(xs::max(to_int(v) + zero_point, I(0)), I(255));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_cvtepi32_epi16(x));
  }
  static BYTEGATE_INLINE void store_four_quantized(std::uint8_t* q, F a, F b, F c, F d, I zero_point) {
    _mm512_storeu_si512(q, clamped(a, b, zero_point));
    _mm512_storeu_si512(q + 64, clamped(c, d, zero_point));
  }

 private:
  static BYTEGATE_INLINE __m512i clamped(F a, F b, I zero_point) {
    const __m512i x = _mm512_max_epi16(words(a, b, zero_point), _mm512_setzero_si512());
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
                                    _mm512_min_epi16(x, _mm512_set1_epi16(255)));
  }
};

}  // namespace
