// Ranges of floats, found by their bits.
#pragma once

#include <bytegate/backend.h>

#include "kernels/concepts.h"

namespace bytegate::kernels {

/// Lane by lane the range of the floats that it took, widened to hold 0. The bits of floats, as signed integers, have
/// the positive floats in their order behind all negative ones; as unsigned integers, the negative ones in the order of
/// their size behind all positive ones. Infinity and NaN stand behind the finite floats of their sign, so that the two
/// largest integers say all: no NaN gets lost, and they take less time than the least and the largest float.
template <VectorIsa Isa>
struct LaneRanges {
  using F = typename Isa::F;
  F lo = F(0.0f);  ///< the largest as unsigned integers
  F hi = F(0.0f);  ///< the largest as signed integers

  BYTEGATE_INLINE void take(F v) {
    lo = Isa::max_as_unsigned(lo, v);
    hi = Isa::max_as_signed(hi, v);
  }
  BYTEGATE_INLINE void take(const LaneRanges& other) {
    lo = Isa::max_as_unsigned(lo, other.lo);
    hi = Isa::max_as_signed(hi, other.hi);
  }

  /// Of all lanes; both ends are NaN if one took infinity or NaN.
  BYTEGATE_INLINE RowRange range() const {
    constexpr std::uint32_t infinity = 0x7f800000u, sign = 0x80000000u;
    const float least = Isa::reduce_max_as_unsigned(lo), most = Isa::reduce_max_as_signed(hi);
    const auto least_bits = __builtin_bit_cast(std::uint32_t, least);
    if (least_bits >= (sign | infinity) || __builtin_bit_cast(std::uint32_t, most) >= infinity) {
      return {__builtin_nanf(""), __builtin_nanf("")};
    }
    return {least_bits > sign ? least : 0.0f, most};
  }
};

}  // namespace bytegate::kernels
