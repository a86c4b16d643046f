// Weights to int8. Compiled for speed: a model's file is quantized at the speed of memory.
#include <bytegate/weight.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <vector>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/share.h"
#include "layers/quant/row_pieces.h"

namespace bytegate {
namespace {

/// The largest absolute value. Throws Error for NaN or infinity. Compares bit patterns, whose order is that of the
/// magnitudes, since compilers vectorize the maximum of integers.
float absmax(std::span<const float> values, std::size_t first_element) {
  std::int32_t max = 0;
  for (const float v : values) {
    const std::int32_t magnitude = std::bit_cast<std::int32_t>(v) & 0x7fffffff;
    max = magnitude > max ? magnitude : max;
  }
  if (max >= 0x7f800000) detail::check_finite(values, "the weight", first_element);  // throws
  return std::bit_cast<float>(max);
}

/// The integer nearest to v, to even at a tie, in lo..127. |v| is far below 2^31: w / s is at most 127.5 times what
/// rounding can add to it. Clamped as an integer, which compilers vectorize.
template <class Float>
std::int8_t rounded(Float v, std::int32_t lo) {
  constexpr Float shift = sizeof(Float) == 8 ? 6755399441055744.0 : 12582912.0f;  // 1.5 * 2^52 or 2^23: a unit of 1
  std::int32_t q = static_cast<std::int32_t>((v + shift) - shift);
  q = q < lo ? lo : q;
  q = q > 127 ? 127 : q;
  return static_cast<std::int8_t>(q);
}

/// q = w / s in double, so that a subnormal s does no harm. No weight becomes -128.
void divide_and_round(std::span<const float> w, float scale, std::int8_t* __restrict q) {
  const double divisor = scale;
  for (std::size_t i = 0; i < w.size(); ++i) q[i] = rounded(static_cast<double>(w[i]) / divisor, -127);
}

/// PyTorch's (reference: its MinMaxObserver and PerChannelMinMaxObserver, symmetric, qint8): q = w * (1 / s) in float.
void multiply_and_round(std::span<const float> w, float scale, std::int8_t* __restrict q) {
  const float inverse = 1.0f / scale;
  for (std::size_t i = 0; i < w.size(); ++i) q[i] = rounded(w[i] * inverse, -128);
}

float scale_of(float max, const Scheme& scheme) {
  if (scheme.is_torch()) return std::max(max / 127.5f, FLT_EPSILON);
  const float scale = max / 127.0f;
  return scale == 0 ? 1.0f : scale;
}

}  // namespace

[[gnu::cold]] Weight Weight::quantizing(Weight floats, const Scheme& scheme) {
  if (floats.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"Weight::quantizing: the weight is int8 already"});
  const auto cols = static_cast<std::size_t>(floats.cols());
  const auto scales = detail::share<std::vector<float>>();
  if (scheme.per_channel()) {
    scales->resize(static_cast<std::size_t>(floats.rows()));
  } else {
    const detail::FloatEnvironment environment;
    float max = 0;
    detail::RowPieces<float>(floats).for_each([&](std::size_t first, std::size_t, std::span<const float> rows) {
      max = std::max(max, absmax(rows, first * cols));
    });
    scales->push_back(scale_of(max, scheme));
  }
  Weight result;
  result.rows_ = floats.rows();
  result.cols_ = floats.cols();
  result.shape_ = floats.shape_;
  result.scales_ = scales;
  result.int8s_ = [floats = std::move(floats), scales, scheme, cols](std::int64_t first, std::int64_t count,
                                                                     std::int8_t* out) {
    const detail::FloatEnvironment environment;
    const auto quantize = scheme.is_torch() ? multiply_and_round : divide_and_round;
    const auto row0 = static_cast<std::size_t>(first);
    const detail::RowPieces<float> pieces(floats, row0, static_cast<std::size_t>(count));
    pieces.for_each([&](std::size_t begin, std::size_t rows, std::span<const float> values) {
      for (std::size_t i = 0; i < rows; ++i) {
        const auto row = values.subspan(i * cols, cols);
        const std::size_t n = begin + i;
        if (scheme.per_channel()) (*scales)[n] = scale_of(absmax(row, n * cols), scheme);
        quantize(row, (*scales)[scheme.per_channel() ? n : 0], out + (n - row0) * cols);
      }
    });
  };
  return result;
}

[[gnu::cold]] QuantizedWeight quantize_weight(const Weight& weight, const Scheme& scheme) {
  return Weight::quantizing(weight, scheme).int8s();
}

[[gnu::cold]] QuantizedWeight quantize_weight(ConstTensorView weight, const Scheme& scheme) {
  return quantize_weight(Weight::view(weight), scheme);
}

}  // namespace bytegate
