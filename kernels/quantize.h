// Activations to 8 bits, a scale and zero point a row (docs/numerics.md: "Activations").
#pragma once

#include <bytegate/backend.h>

#include <cfloat>
#include <cstring>

#include "kernels/concepts.h"
#include "kernels/range.h"
#include "kernels/static_for.h"

namespace bytegate::kernels {

/// Two chains of operations: one would wait for the latency of each.
template <VectorIsa Isa>
BYTEGATE_INLINE RowRange find_range(const float* x, std::size_t n) {
  constexpr std::size_t w = Isa::width;
  LaneRanges<Isa> even, odd;
  std::size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    even.take(Isa::load(x + i));
    odd.take(Isa::load(x + i + w));
    even.take(Isa::load(x + i + 2 * w));
    odd.take(Isa::load(x + i + 3 * w));
  }
  for (; i + w <= n; i += w) even.take(Isa::load(x + i));
  if (i < n) odd.take(Isa::load_first(x + i, n - i));
  even.take(odd);
  return even.range();
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
  const auto scaled = [&](F v) BYTEGATE_LAMBDA {
    v = v * inverse;
    if constexpr (fixed) v = saturated<Isa>(v);
    return v;
  };
  std::size_t i = 0;
  if constexpr (requires(F v) { Isa::store_four_quantized(q, v, v, v, v, zero_point); }) {
    for (; i + 4 * Isa::width <= cols; i += 4 * Isa::width) {
      F v[4];
      static_for<4>([&]<int j>() BYTEGATE_LAMBDA { v[j] = scaled(Isa::load(x + i + j * Isa::width)); });
      Isa::store_four_quantized(q + i * Isa::lhs_size, v[0], v[1], v[2], v[3], zero_point);
    }
  }
  for (; i + Isa::width <= cols; i += Isa::width)
    Isa::store_quantized(q + i * Isa::lhs_size, scaled(Isa::load(x + i)), zero_point);
  if (i < cols)  // a whole vector fits: the stride is a multiple of 64 bytes
    Isa::store_quantized(q + i * Isa::lhs_size, scaled(Isa::load_first(x + i, cols - i)), zero_point);
}

template <Int8Product Isa>
void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                   StagedRows* out) {
  const FloatRows in = *x;
  const auto row = [&](std::size_t r) BYTEGATE_LAMBDA { return in.data + r * in.stride; };
  RowQuantizer quantizer{}, next{};
  if (fixed_scale) next = {*fixed_scale, fixed_inverse};
  // The quantizer of a row is computed before the row in front of it is written: its reductions and divisions, each
  // of which waits for the one before, then overlap with that.
  for (std::size_t r = 0; r <= in.rows; ++r) {
    quantizer = next;
    if (!fixed_scale && r < in.rows) next = quantizer_of<Isa>(ranges ? ranges[r] : find_range<Isa>(row(r), in.cols));
    if (r == 0) continue;
    auto* q = static_cast<std::uint8_t*>(out->data) + (r - 1) * out->stride;
    out->scales[r - 1] = quantizer.scale;
    if (quantizer.scale.scale != quantizer.scale.scale) {  // the row's outputs are all NaN whatever q is
      std::memset(q, 0, in.cols * Isa::lhs_size);
    } else if (fixed_scale) {
      quantize_row<Isa, true>(row(r - 1), in.cols, quantizer, q);
    } else {
      quantize_row<Isa, false>(row(r - 1), in.cols, quantizer, q);
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
