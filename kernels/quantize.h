// Activations to 8 bits, a scale and zero point a row (docs/numerics.md: "Activations").
#pragma once

#include <bytegate/backend.h>

#include <cfloat>
#include <cstring>

#include "kernels/concepts.h"
#include "kernels/range.h"
#include "kernels/static_for.h"

namespace bytegate::kernels {

/// Calls whole.operator()<count>(i) for 4 vectors at a time and then for 1, each from float i on, and at last
/// tail(i, rest) if fewer than a vector's floats remain of n.
template <VectorIsa Isa, class Whole, class Tail>
BYTEGATE_INLINE void for_each_vector(std::size_t n, const Whole& whole, const Tail& tail) {
  std::size_t i = 0;
  for (; i + 4 * Isa::width <= n; i += 4 * Isa::width) whole.template operator()<4>(i);
  for (; i + Isa::width <= n; i += Isa::width) whole.template operator()<1>(i);
  if (i < n) tail(i, n - i);
}

/// The range of a row, taken part by part as by for_each_vector. Two chains of operations: one would wait for the
/// latency of each.
template <VectorIsa Isa>
class RangeOfRow {
 public:
  explicit BYTEGATE_INLINE RangeOfRow(const float* row) : row_(row) {}

  template <int count>
  BYTEGATE_INLINE void take(std::size_t i) {
    static_for<count>([&]<int j>() BYTEGATE_LAMBDA {
      auto v = Isa::load(row_ + i + j * Isa::width);
      Isa::pin_register(v);
      chains_[j % 2].take(v);
    });
  }
  BYTEGATE_INLINE void take_tail(std::size_t i, std::size_t rest) { chains_[1].take(Isa::load_first(row_ + i, rest)); }

  BYTEGATE_INLINE RowRange range() {
    chains_[0].take(chains_[1]);
    return chains_[0].range();
  }

 private:
  const float* row_;
  LaneRanges<Isa> chains_[2];
};

template <VectorIsa Isa>
BYTEGATE_INLINE RowRange find_range(const float* x, std::size_t n) {
  RangeOfRow<Isa> range(x);
  for_each_vector<Isa>(
      n, [&]<int count>(std::size_t i) BYTEGATE_LAMBDA { range.template take<count>(i); },
      [&](std::size_t i, std::size_t rest) BYTEGATE_LAMBDA { range.take_tail(i, rest); });
  return range.range();
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

template <Int8Product Isa, std::size_t count>
BYTEGATE_INLINE void store_vectors(std::uint8_t* q, const typename Isa::F (&v)[count], typename Isa::I zero_point) {
  if constexpr (count == 4 && requires { Isa::store_four_quantized(q, v[0], v[0], v[0], v[0], zero_point); }) {
    Isa::store_four_quantized(q, v[0], v[1], v[2], v[3], zero_point);
  } else {
    static_for<static_cast<int>(count)>(
        [&]<int j>() BYTEGATE_LAMBDA { Isa::store_quantized(q + j * Isa::width * Isa::lhs_size, v[j], zero_point); });
  }
}

/// Takes the place of RangeOfRow where no range is wanted.
struct NoRange {
  template <int>
  BYTEGATE_INLINE void take(std::size_t) {}
  BYTEGATE_INLINE void take_tail(std::size_t, std::size_t) {}
};

/// q = clamp(round(x / scale) + zero_point, 0, 255), as unsigned or (Isa::activation_bias) less 128. The scale of a
/// row's own range keeps |x / scale| within 256; a fixed one does not, and must saturate.
/// beside: the range of another row of as many columns. Maxima and packing wait for different ports of a CPU, so that
/// both take little longer than one.
template <Int8Product Isa, bool fixed, class Range>
BYTEGATE_INLINE void quantize_row(const float* x, std::size_t cols, const RowQuantizer& quantizer, std::uint8_t* q,
                                  Range& beside) {
  using F = typename Isa::F;
  const auto inverse = F(quantizer.inverse);
  const auto zero_point = typename Isa::I(quantizer.scale.zero_point);
  const auto scaled = [&](F v) BYTEGATE_LAMBDA {
    v = v * inverse;
    if constexpr (fixed) v = saturated<Isa>(v);
    return v;
  };
  for_each_vector<Isa>(
      cols,
      [&]<int count>(std::size_t i) BYTEGATE_LAMBDA {
        F v[count];
        static_for<count>([&]<int j>() BYTEGATE_LAMBDA { v[j] = scaled(Isa::load(x + i + j * Isa::width)); });
        beside.template take<count>(i);
        store_vectors<Isa>(q + i * Isa::lhs_size, v, zero_point);
      },
      [&](std::size_t i, std::size_t rest) BYTEGATE_LAMBDA {
        // A whole vector fits: the stride is a multiple of 64 bytes.
        Isa::store_quantized(q + i * Isa::lhs_size, scaled(Isa::load_first(x + i, rest)), zero_point);
        beside.take_tail(i, rest);
      });
}

/// Rows of more columns than this would not stay in L1 until the second next row is written.
constexpr std::size_t kLongRow = 2048;

template <Int8Product Isa>
void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                   StagedRows* out) {
  const FloatRows in = *x;
  const auto row = [&](std::size_t r) BYTEGATE_LAMBDA { return in.data + r * in.stride; };
  const auto quantizer = [&](std::size_t r) BYTEGATE_LAMBDA {
    if (fixed_scale) return RowQuantizer{*fixed_scale, fixed_inverse};
    return quantizer_of<Isa>(ranges ? ranges[r] : find_range<Isa>(row(r), in.cols));
  };
  // Quantizers are computed one or two rows ahead: their reductions and divisions, each of which waits for the one
  // before, then overlap with the row that is written meanwhile.
  const std::size_t ahead = in.cols > kLongRow ? 1 : 2;
  RowQuantizer next[2] = {};
  for (std::size_t r = 0; r < ahead && r < in.rows; ++r) next[r] = quantizer(r);
  for (std::size_t r = 0; r < in.rows; ++r) {
    const RowQuantizer current = next[r % 2];
    const std::size_t later = r + ahead;
    const bool is_finite = current.scale.scale == current.scale.scale;
    auto* q = static_cast<std::uint8_t*>(out->data) + r * out->stride;
    out->scales[r] = current.scale;
    if constexpr (Isa::width > 1) {  // compilers vectorize plain loops, but not both in one
      if (is_finite && later < in.rows && !ranges && !fixed_scale) {
        RangeOfRow<Isa> range(row(later));
        quantize_row<Isa, false>(row(r), in.cols, current, q, range);
        next[later % 2] = quantizer_of<Isa>(range.range());
        continue;
      }
    }
    if (later < in.rows) next[later % 2] = quantizer(later);
    NoRange none;
    if (!is_finite) {
      std::memset(q, 0, in.cols * Isa::lhs_size);  // the row's outputs are all NaN whatever q is
    } else if (fixed_scale) {
      quantize_row<Isa, true>(row(r), in.cols, current, q, none);
    } else {
      quantize_row<Isa, false>(row(r), in.cols, current, q, none);
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
