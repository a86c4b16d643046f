// AVX-VNNI: vpdpbusd on 256 bits in its VEX encoding, which CPUs without AVX-512 have. Never the saturating form.
#pragma once

#ifndef __AVXVNNI__
#error "compile this file with -mavxvnni"
#endif

#define BYTEGATE_XSIMD xsimd_avxvnni
#include "backends/common/avx2_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx2Vectors {
  static constexpr std::uint32_t mr = 6, l2_bytes = 1 << 20, block_channels = 32, kr = 4, lhs_size = 1,
                                 least_vectors = 1, independent_sums = 12;
  static constexpr std::int32_t activation_bias = 0;
  /// Vectors of sums that a tile takes at once. Six rows by two, two of weights and an activation: 15 of 16 registers.
  /// Four rows by two are too few sums for the latency of dot.
  static constexpr int at_once(int rows, int vectors) {
    if (rows <= 2) return vectors;
    return rows == 4 ? 3 : 2;
  }
  template <int rows, int vectors, int of = vectors>
  using Tile = bytegate::kernels::DotTile<Isa, rows, vectors, at_once(rows, vectors), of>;

  using Lhs = __m256i;
  using Rhs = I;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return I(group);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return _mm256_dpbusd_avx_epi32(acc, a, w); }
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return _mm256_dpwssd_avx_epi32(acc, a, b); }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const std::uint64_t bytes = quantized(v, zero_point);
    __builtin_memcpy(q, &bytes, sizeof bytes);
  }
  static BYTEGATE_INLINE void store_four_quantized(std::uint8_t* q, F a, F b, F c, F d, I zero_point) {
    const __m256i bytes = _mm256_packus_epi16(words(a, b, zero_point), words(c, d, zero_point));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm256_permutevar8x32_epi32(bytes, order));
  }
};

}  // namespace
