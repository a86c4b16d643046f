// AVX-512 VNNI: vpdpbusd on 512 bits. Never the saturating form.
#pragma once

#ifndef __AVX512VNNI__
#error "compile this file with -mavx512vnni"
#endif

#define BYTEGATE_XSIMD xsimd_avx512vnni
#include "backends/common/avx512_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx512Vectors {
  /// A panel is one stream: AMD's Zen 5 reads it from L2 up to twice as fast as four.
  static constexpr std::uint32_t mr = 6, l2_bytes = 1 << 20, block_channels = 64, kr = 4, lhs_size = 1,
                                 least_vectors = 1, independent_sums = 16;
  static constexpr std::int32_t activation_bias = 0;
  static constexpr bool takes_vector_blocks = true;  ///< amx packs blocks of a vector, and multiplies few rows here
  template <int rows, int vectors, int of = vectors>
  using Tile = bytegate::kernels::DotTile<Isa, rows, vectors, vectors, of>;

  using Lhs = __m512i;
  using Rhs = I;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return I(group);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return _mm512_loadu_si512(w); }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return _mm512_dpbusd_epi32(acc, a, w); }
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return _mm512_dpwssd_epi32(acc, a, b); }

  /// xsimd has no saturating packs.
  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const I x = xs::max(to_int(v) + zero_point, I(0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtusepi32_epi8(x));
  }
  static BYTEGATE_INLINE void store_four_quantized(std::uint8_t* q, F a, F b, F c, F d, I zero_point) {
    const __m512i bytes = _mm512_packus_epi16(words(a, b, zero_point), words(c, d, zero_point));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_si512(q, _mm512_permutexvar_epi32(order, bytes));
  }
};

}  // namespace
