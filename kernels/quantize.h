// Activations to 8 bits, a scale and zero point a row (docs/numerics.md: "Activations").
#pragma once

#include <bytegate/backend.h>

#include <cfloat>
#include <cstring>

#include "kernels/concepts.h"
#include "kernels/fetch_ahead.h"
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

  BYTEGATE_INLINE void take_row(std::size_t n) {
    for_each_vector<Isa>(
        n, [&]<int count>(std::size_t i) BYTEGATE_LAMBDA { take<count>(i); },
        [&](std::size_t i, std::size_t rest) BYTEGATE_LAMBDA { take_tail(i, rest); });
  }

  BYTEGATE_INLINE RowRange range() {
    chains_[0].take(chains_[1]);
    return chains_[0].range();
  }

 private:
  const float* row_;
  LaneRanges<Isa> chains_[2];
};

template <VectorIsa Isa>
__attribute__((noinline)) RowRange find_range(const float* x, std::size_t n) {
  RangeOfRow<Isa> range(x);
  range.take_row(n);
  return range.range();
}

template <VectorIsa Isa>
void find_ranges(const FloatRows* x, RowRange* ranges) {
  for (std::size_t r = 0; r < x->rows; ++r) ranges[r] = find_range<Isa>(x->data + r * x->stride, x->cols);
}

/// A float, its unit being 1, to whose sums with |v| < 2^22 the CPU rounds half to even.
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23

/// In the default rounding mode.
template <VectorIsa Isa>
BYTEGATE_INLINE float round_half_even(float v) {
  return (v + kRoundingShift) - kRoundingShift;
}

/// Of the difference of a range: the least whose scale has a finite inverse.
constexpr float kLeastHalf = 127.5f * FLT_MIN;

/// The scale of a row, (hi - lo) / 255, the zero point, -lo / scale rounded, and the inverse of the scale. Computed
/// from (hi - lo) / 2, which cannot overflow, and at least what makes the inverse finite. A row of zeros has scale 1:
/// its sums are 0 whatever the scale, and the product of the smallest scale and a weight's would be subnormal, which
/// many CPUs multiply slowly.
template <VectorIsa Isa>
BYTEGATE_INLINE RowScale scale_of(RowRange range, float& inverse) {
  float half = 0.5f * range.hi - 0.5f * range.lo;
  if (half < kLeastHalf) half = kLeastHalf;
  inverse = 127.5f / half;
  const float zero_point = round_half_even<Isa>(-range.lo * inverse);
  return {range.lo == range.hi ? 1.0f : half * (1.0f / 127.5f),
          range.lo <= 0.0f ? static_cast<std::int32_t>(zero_point > 255.0f ? 255.0f : zero_point) : 0};
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
BYTEGATE_INLINE void quantize_row(const float* x, std::size_t cols, float inverse_scale, std::int32_t zero,
                                  std::uint8_t* q, Range& beside) {
  using F = typename Isa::F;
  const auto inverse = F(inverse_scale);
  const auto zero_point = typename Isa::I(zero);
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

/// A row of that scale and its inverse. q is 0 where the scale is NaN: the row's outputs are all NaN whatever it is.
template <Int8Product Isa, bool fixed>
__attribute__((noinline)) void quantize_scaled(const float* x, std::size_t cols, const RowScale& scale, float inverse,
                                               std::uint8_t* q) {
  NoRange none;
  if (scale.scale == scale.scale) return quantize_row<Isa, fixed>(x, cols, inverse, scale.zero_point, q, none);
  std::memset(q, 0, cols * Isa::lhs_size);
}

/// The one row of x, of that range or, if null, of the one that it has.
template <Int8Product Isa>
__attribute__((noinline)) void quantize_single(const FloatRows& x, const RowRange* range, RowScale& scale,
                                               std::uint8_t* q) {
  float inverse;
  scale = scale_of<Isa>(range ? *range : find_range<Isa>(x.data, x.cols), inverse);
  quantize_scaled<Isa, false>(x.data, x.cols, scale, inverse, q);
}

/// Rows whose scales are computed at once, at most: each is a chain of operations that wait for the one before.
constexpr std::size_t kScaledRows = 16;

/// Of so many rows the scales, and their inverses in every other place of `inverses`.
template <VectorIsa Isa>
__attribute__((noinline)) void find_scales(const RowRange* ranges, std::size_t rows, RowScale* scales,
                                           float* inverses) {
  std::size_t vectors = 0;
  if constexpr (Isa::width > 1) {  // scale_of on lanes of lo and hi
    using F = typename Isa::F;
    constexpr std::size_t half_width = Isa::width / 2;
    vectors = rows / half_width;
    for (std::size_t i = 0; i < vectors; ++i) {
      const F lo_hi = Isa::load(&ranges[i * half_width].lo), hi_lo = Isa::swap_neighbours(lo_hi);
      const F difference = F(0.5f) * hi_lo - F(0.5f) * lo_hi;
      const F half = Isa::max(F(kLeastHalf), Isa::max(F(0.0f) - difference, difference));
      const F inverse = F(127.5f) / half, zero_point = (F(0.0f) - hi_lo) * inverse;
      const F rounded = Isa::min(F(255.0f), (zero_point + F(kRoundingShift)) - F(kRoundingShift));
      Isa::store(&scales[i * half_width].scale, Isa::alternate(half * F(1.0f / 127.5f), Isa::to_int(rounded)));
      Isa::store(inverses + i * Isa::width, inverse);
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    // Beyond the vectors; rows of zeros and with NaN, of which they know nothing.
    if (r >= vectors * (Isa::width / 2) || !(scales[r].scale > 2 * FLT_MIN)) {
      scales[r] = scale_of<Isa>(ranges[r], inverses[2 * r]);
    }
    asm volatile("");  // compilers would make kilobytes of it
  }
}

/// Rows of these ranges.
template <Int8Product Isa>
__attribute__((noinline)) void quantize_ranged(const FloatRows& x, const RowRange* ranges, RowScale* scales,
                                               std::uint8_t* q, std::size_t stride) {
  const float* row = x.data;
  float inverses[2 * kScaledRows];
  for (std::size_t left = x.rows; left > 0;) {
    const std::size_t count = left < kScaledRows ? left : kScaledRows;
    find_scales<Isa>(ranges, count, scales, inverses);
    for (std::size_t i = 0; i < count; ++i, row += x.stride, q += stride) {
      quantize_scaled<Isa, false>(row, x.cols, scales[i], inverses[2 * i], q);
    }
    ranges += count;
    scales += count;
    left -= count;
  }
}

/// The CPU does not fetch ahead into another page. Of a row to come, if rows have so many floats, so many bytes are
/// fetched, from which it goes on.
constexpr std::size_t kLongRow = 512, kRowStart = 4 * 64;

/// Rows whose ranges are to be found: those of a block of rows while the block before is quantized, row beside row.
template <Int8Product Isa>
__attribute__((noinline)) void quantize_unranged(const FloatRows& x, RowScale* scales, std::uint8_t* q,
                                                 std::size_t stride) {
  constexpr std::size_t in_l1 = 2048;  // floats of a block that stay there until they are read again
  std::size_t block = kScaledRows, left = x.rows;
  while (block > 2 && 2 * block > left) block /= 2;
  while (block > 1 && block * x.cols > in_l1) block /= 2;
  const float* row = x.data;
  RowRange ranges[kScaledRows];
  float inverses[2 * kScaledRows];
  for (std::size_t i = 0; i < block; ++i) ranges[i] = find_range<Isa>(row + i * x.stride, x.cols);
  while (left > 0) {
    const std::size_t count = left < block ? left : block, later = left - count, beside = later < count ? later : count;
    find_scales<Isa>(ranges, count, scales, inverses);
    for (std::size_t i = 0; i < count; ++i, row += x.stride, q += stride) {
      if (i < beside) {
        const float* next = row + block * x.stride;
        if (x.cols >= kLongRow && i + 1 < later) fetch_piece(next + x.stride, kRowStart);
        if constexpr (Isa::width > 1) {  // compilers vectorize plain loops, but not both in one
          if (scales[i].scale == scales[i].scale) {
            RangeOfRow<Isa> range(next);
            quantize_row<Isa, false>(row, x.cols, inverses[2 * i], scales[i].zero_point, q, range);
            ranges[i] = range.range();
            continue;
          }
        }
        ranges[i] = find_range<Isa>(next, x.cols);
      }
      quantize_scaled<Isa, false>(row, x.cols, scales[i], inverses[2 * i], q);
    }
    scales += count;
    left = later;
  }
}

template <Int8Product Isa>
void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                   StagedRows* out) {
  auto* q = static_cast<std::uint8_t*>(out->data);
  if (fixed_scale) {
    for (std::size_t r = 0; r < x->rows; ++r) {
      out->scales[r] = *fixed_scale;
      quantize_scaled<Isa, true>(x->data + r * x->stride, x->cols, *fixed_scale, fixed_inverse, q + r * out->stride);
    }
  } else if (x->rows == 1) {
    quantize_single<Isa>(*x, ranges, out->scales[0], q);
  } else if (ranges) {
    quantize_ranged<Isa>(*x, ranges, out->scales, q, out->stride);
  } else if (x->rows > 1) {
    quantize_unranged<Isa>(*x, out->scales, q, out->stride);
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
