// Activations to 8 bits, a scale and zero point a row (docs/numerics.md: "Activations").
#pragma once

#include <bytegate/backend.h>

#include <cfloat>
#include <cstring>

#include "kernels/concepts.h"
#include "kernels/static_for.h"

namespace bytegate::kernels {

/// lo = min(0, x...), hi = max(0, x...), both NaN if any x is NaN or infinite.
template <VectorIsa Isa>
BYTEGATE_INLINE RowRange find_range(const float* x, std::size_t n) {
  using F = typename Isa::F;
  const F zero = F(0.0f);
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

template <VectorIsa Isa>
void find_ranges(const FloatRows* x, RowRange* ranges) {
  for (std::size_t r = 0; r < x->rows; ++r) ranges[r] = find_range<Isa>(x->data + r * x->stride, x->cols);
}

struct RowQuantizer {
  RowScale scale;
  float inverse;
};

/// Round half to even; exact for |v| < 2^22 in the default rounding mode.
template <VectorIsa Isa>
BYTEGATE_INLINE float round_half_even(float v) {
  constexpr float shift = 12582912.0f;  // 1.5 * 2^23: the sum has a unit of 1
  return (v + shift) - shift;
}

/// scale = (hi - lo) / 255 and its inverse. Computed from (hi - lo) / 2, which cannot overflow, and at least what makes
/// the inverse finite. Scale and inverse are independent, so the two divisions overlap. zero_point = -lo / scale,
/// rounded. A row of zeros has scale 1: its sums are 0 whatever the scale, and the product of the smallest scale and a
/// weight's would be subnormal, which many CPUs multiply slowly.
template <VectorIsa Isa>
BYTEGATE_INLINE RowQuantizer quantizer_of(RowRange range) {
  if (!(range.lo <= 0.0f)) return {{__builtin_nanf(""), 0}, 0.0f};
  if (range.lo == range.hi) return {{1.0f, 0}, 1.0f};
  float half = 0.5f * range.hi - 0.5f * range.lo;
  if (half < 127.5f * FLT_MIN) half = 127.5f * FLT_MIN;
  const float inverse = 127.5f / half;
  const float zero_point = round_half_even<Isa>(-range.lo * inverse);
  return {{half * (1.0f / 127.5f), static_cast<std::int32_t>(zero_point > 255.0f ? 255.0f : zero_point)}, inverse};
}

/// x * inverse within -256..256, NaN as -256: outside of it q is 0 or 255 whatever the zero point, and what
/// Isa::store_quantized would make of a value beyond int32 depends on the CPU. Both ends are integers, so rounding is
/// not disturbed.
template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F saturated(typename Isa::F v) {
  using F = typename Isa::F;
  return Isa::min(Isa::max(v, F(-256.0f)), F(256.0f));
}

/// q = clamp(round(x / scale) + zero_point, 0, 255), as unsigned or (Isa::activation_bias) less 128. The scale of a
/// row's own range keeps |x / scale| within 256; a fixed one does not, and must saturate.
template <Int8Product Isa, bool fixed>
BYTEGATE_INLINE void quantize_row(const float* x, std::size_t cols, const RowQuantizer& quantizer, std::uint8_t* q) {
  using F = typename Isa::F;
  const auto inverse = F(quantizer.inverse);
  const auto zero_point = typename Isa::I(quantizer.scale.zero_point);
  const auto store = [&](std::size_t i, F v) BYTEGATE_LAMBDA {
    v = v * inverse;
    if constexpr (fixed) v = saturated<Isa>(v);
    Isa::store_quantized(q + i * Isa::lhs_size, v, zero_point);
  };
  std::size_t i = 0;
  for (; i + Isa::width <= cols; i += Isa::width) store(i, Isa::load(x + i));
  if (i < cols)
    store(i, Isa::load_first(x + i, cols - i));  // a whole vector fits: the stride is a multiple of 64 bytes
}

template <Int8Product Isa>
void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                   StagedRows* out) {
  for (std::size_t r = 0; r < x->rows; ++r) {
    const float* row = x->data + r * x->stride;
    auto* q = static_cast<std::uint8_t*>(out->data) + r * out->stride;
    RowQuantizer quantizer;
    if (fixed_scale) {
      quantizer = {*fixed_scale, fixed_inverse};
    } else {
      quantizer = quantizer_of<Isa>(ranges ? ranges[r] : find_range<Isa>(row, x->cols));
    }
    out->scales[r] = quantizer.scale;
    if (quantizer.scale.scale != quantizer.scale.scale) {  // the row's outputs are all NaN whatever q is
      std::memset(q, 0, x->cols * Isa::lhs_size);
    } else if (fixed_scale) {
      quantize_row<Isa, true>(row, x->cols, quantizer, q);
    } else {
      quantize_row<Isa, false>(row, x->cols, quantizer, q);
    }
  }
}

/// The float kernels' staging: rows as they are.
template <VectorIsa Isa>
void copy_rows(const FloatRows* x, const RowRange*, const RowScale*, float, StagedRows* out) {
  if (x->cols == 0) return;  // x->data may then be null, and memcpy from null is undefined even for 0 bytes
  for (std::size_t r = 0; r < x->rows; ++r) {
    std::memcpy(static_cast<char*>(out->data) + r * out->stride, x->data + r * x->stride, x->cols * sizeof(float));
  }
}

}  // namespace bytegate::kernels
