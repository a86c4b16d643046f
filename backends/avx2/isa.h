// AVX2: exact int8 products without saturation, from signed activations a = q - 128 and weights w >= -127:
// a * w = |a| * (w negated where a < 0), and a sum of two such products is at most 2 * 128 * 127 = 32512, so int16 holds it.
// A weight of -128 comes as -127 and -1 in two segments (PackedMatrix).
#pragma once

#include "backends/common/avx2_vectors.h"
#include "kernels/product.h"

namespace {

struct Isa : Avx2Vectors {
  static constexpr std::uint32_t mr = 2, float_mr = 3, kr = 4, splits_minus_128 = 1;
  static constexpr std::int32_t lhs_offset = 128;
  template <int rows>
  using Int8Tile = bytegate::kernels::DotTile<Isa, rows>;

  struct Lhs {
    __m256i value, magnitude;
  };
  using Rhs = __m256i;

  static BYTEGATE_INLINE Lhs load_lhs(const std::uint8_t* a) {
    std::int32_t group;
    __builtin_memcpy(&group, a, sizeof group);
    const __m256i value = _mm256_set1_epi32(group);
    return {value, _mm256_abs_epi8(value)};
  }
  static BYTEGATE_INLINE Rhs load_rhs(const std::int8_t* w) { return load_i(w); }
  static BYTEGATE_INLINE I dot(I acc, Lhs a, Rhs w) {
    const __m256i pairs = _mm256_maddubs_epi16(a.magnitude, _mm256_sign_epi8(w, a.value));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  static BYTEGATE_INLINE void store_quantized(std::uint8_t* q, F v, I zero_point) {
    store_unsigned(q, v, zero_point);
    std::uint64_t bytes;
    __builtin_memcpy(&bytes, q, sizeof bytes);
    bytes ^= 0x8080808080808080u;  // q - 128
    __builtin_memcpy(q, &bytes, sizeof bytes);
  }
};

}  // namespace
