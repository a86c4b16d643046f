// Activations to 8 bits, a scale and zero point a row (docs/numerics.md: "Activations").
#pragma once

#include <bytegate/backend.h>

#include <cstring>
#include <cfloat>

#include "kernels/unroll.h"

namespace bytegate::kernels {

/// lo = min(0, x...), hi = max(0, x...), both NaN if any x is NaN or infinite.
template <class Isa>
BYTEGATE_INLINE RowRange find_range(const float* x, std::size_t n) {
  using F = typename Isa::F;
  const F zero = Isa::set(0.0f);
  F lo = zero, hi = zero, bad = zero;  // bad: sum of x * 0, which is NaN exactly if an x is not finite
  const auto take = [&](F v) BYTEGATE_LAMBDA {
    lo = Isa::min(v, lo);
    hi = Isa::max(v, hi);
    bad = Isa::fma(v, zero, bad);
  };
  std::size_t i = 0;
  for (; i + Isa::width <= n; i += Isa::width) take(Isa::load(x + i));
  if (i < n) take(Isa::load_first(x + i, n - i));
  const float nan = Isa::reduce_add(bad);  // 0 or NaN
  if (nan != nan) return {__builtin_nanf(""), __builtin_nanf("")};
  return {Isa::reduce_min(lo), Isa::reduce_max(hi)};
}

template <class Isa>
void find_ranges(const FloatRows* x, RowRange* ranges) {
  for (std::size_t r = 0; r < x->rows; ++r) ranges[r] = find_range<Isa>(x->data + r * x->stride, x->cols);
}

struct RowQuantizer {
  RowScale scale;
  float inverse;
};

/// Round half to even; exact for |v| < 2^22 in the default rounding mode.
template <class Isa>
BYTEGATE_INLINE float round_half_even(float v) {
  constexpr float shift = 12582912.0f;  // 1.5 * 2^23: the sum has a unit of 1
  return (v + shift) - shift;
}

/// scale = (hi - lo) / 255 and its inverse, each from half the range, which cannot overflow, and not from each other, which would put one
/// division behind another. Half the range is at least what makes the inverse finite. zero point = -lo / scale, rounded.
template <class Isa>
BYTEGATE_INLINE RowQuantizer quantizer_of(RowRange range) {
  if (!(range.lo <= 0.0f)) return {{__builtin_nanf(""), 0}, 0.0f};
  float half = 0.5f * range.hi - 0.5f * range.lo;
  if (half < 127.5f * FLT_MIN) half = 127.5f * FLT_MIN;
  const float inverse = 127.5f / half;
  const float zero_point = round_half_even<Isa>(-range.lo * inverse);
  return {{half * (1.0f / 127.5f), static_cast<std::int32_t>(zero_point > 255.0f ? 255.0f : zero_point)}, inverse};
}

/// q = clamp(round(x / scale) + zero_point, 0, 255), as unsigned or (Isa::lhs_offset) less 128.
template <class Isa>
void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed, float fixed_inverse, StagedRows* out) {
  for (std::size_t r = 0; r < x->rows; ++r) {
    const float* row = x->data + r * x->stride;
    auto* q = static_cast<std::uint8_t*>(out->data) + r * out->stride;
    RowQuantizer quantizer;
    if (fixed) {
      quantizer = {*fixed, fixed_inverse};
    } else {
      quantizer = quantizer_of<Isa>(ranges ? ranges[r] : find_range<Isa>(row, x->cols));
    }
    out->scales[r] = quantizer.scale;
    if (quantizer.scale.scale != quantizer.scale.scale) {  // the row's outputs are all NaN whatever q is
      std::memset(q, 0, x->cols * Isa::lhs_size);
      continue;
    }
    const auto inverse = Isa::set(quantizer.inverse);
    const auto zero_point = Isa::set_i(quantizer.scale.zero_point);
    std::size_t i = 0;
    for (; i + Isa::width <= x->cols; i += Isa::width) Isa::store_quantized(q + i * Isa::lhs_size, Isa::mul(Isa::load(row + i), inverse), zero_point);
    // A whole vector fits: the stride is a multiple of 64 bytes.
    if (i < x->cols) Isa::store_quantized(q + i * Isa::lhs_size, Isa::mul(Isa::load_first(row + i, x->cols - i), inverse), zero_point);
  }
}

/// The float kernels' staging: rows as they are.
template <class Isa>
void copy_rows(const FloatRows* x, const RowRange*, const RowScale*, float, StagedRows* out) {
  if (x->cols == 0) return;  // nothing, and x->data may be null, from which memcpy copies not even nothing
  for (std::size_t r = 0; r < x->rows; ++r) {
    std::memcpy(static_cast<char*>(out->data) + r * out->stride, x->data + r * x->stride, x->cols * sizeof(float));
  }
}

}  // namespace bytegate::kernels
