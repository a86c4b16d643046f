// AVX-VNNI: vpdpbusd on 256 bits in its VEX encoding, which CPUs without AVX-512 have. Never the saturating form.
#pragma once

#ifndef __AVXVNNI__
#error "compile this file with -mavxvnni"
#endif

#include "backends/common/avx2_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx2Vectors {
  static constexpr std::uint32_t mr = 6, float_mr = 3, nb = 16, kr = 4, splits_minus_128 = 0;
  static constexpr std::uint32_t lhs_size = 1, independent_sums = 8;
  static constexpr std::int32_t lhs_offset = 0;
  // Six rows by two vectors of sums, two of weights and an activation: 15 of 16 registers.
  template <int rows>
  using Int8Tile = bytegate::kernels::DotTile<Isa, rows, rows <= 2 ? 4 : 2>;

  using Lhs = __m256i;
  using Rhs = __m256i;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    return _mm256_set1_epi32(group);
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return load_i(w); }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) { return _mm256_dpbusd_avx_epi32(acc, a, w); }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    const std::uint64_t bytes = quantized(v, zero_point);
    __builtin_memcpy(q, &bytes, sizeof bytes);
  }
};

}  // namespace
