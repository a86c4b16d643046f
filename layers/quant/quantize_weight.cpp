// Weights to int8. Compiled for speed: a model's file is quantized at the speed of memory.
#include <bytegate/weight.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <vector>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
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

/// q = w / s rounded half to even in double, so that a subnormal s does no harm, and clamped. No weight becomes -128.
void divide_and_round(std::span<const float> w, float scale, std::int8_t* q) {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52: the sum has a unit of 1
  const double divisor = scale;
  for (std::size_t i = 0; i < w.size(); ++i) {
    double v = static_cast<double>(w[i]) / divisor;
    v = v < -127.0 ? -127.0 : v;
    v = v > 127.0 ? 127.0 : v;
    q[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((v + shift) - shift));
  }
}

/// PyTorch's (reference: its MinMaxObserver and PerChannelMinMaxObserver, symmetric, qint8): q = w * (1 / s) in float.
void multiply_and_round(std::span<const float> w, float scale, std::int8_t* q) {
  constexpr float shift = 12582912.0f;  // 1.5 * 2^23
  const float inverse = 1.0f / scale;
  for (std::size_t i = 0; i < w.size(); ++i) {
    float v = w[i] * inverse;
    v = v < -128.0f ? -128.0f : v;
    v = v > 127.0f ? 127.0f : v;
    q[i] = static_cast<std::int8_t>(static_cast<std::int32_t>((v + shift) - shift));
  }
}

float scale_of(float max, const Scheme& scheme) {
  if (scheme.is_torch()) return std::max(max / 127.5f, FLT_EPSILON);
  const float scale = max / 127.0f;
  return scale == 0 ? 1.0f : scale;
}

}  // namespace

QuantizedWeight quantize_weight(const Weight& weight, const Scheme& scheme) {
  if (weight.quantized()) throw Error(ErrorCode::invalid_argument, "quantize_weight: the weight is int8 already");
  const detail::FloatEnvironment environment;
  const auto cols = static_cast<std::size_t>(weight.cols());
  QuantizedWeight q{weight.rows(), weight.cols(), {}, {}};
  q.data.resize(Shape{weight.rows(), weight.cols()}.elements());
  const auto quantize = scheme.is_torch() ? multiply_and_round : divide_and_round;
  detail::RowPieces<float> pieces(weight);
  if (!scheme.per_channel()) {
    float max = 0;
    pieces.for_each([&](std::size_t first, std::size_t, std::span<const float> rows) {
      max = std::max(max, absmax(rows, first * cols));
    });
    q.scales.push_back(scale_of(max, scheme));
  } else {
    q.scales.resize(static_cast<std::size_t>(weight.rows()));
  }
  pieces.for_each([&](std::size_t first, std::size_t count, std::span<const float> rows) {
    if (!scheme.per_channel()) return quantize(rows, q.scales[0], q.data.data() + first * cols);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = rows.subspan(i * cols, cols);
      const std::size_t n = first + i;
      q.scales[n] = scale_of(absmax(row, n * cols), scheme);
      quantize(row, q.scales[n], q.data.data() + n * cols);
    }
  });
  return q;
}

QuantizedWeight quantize_weight(ConstTensorView weight, const Scheme& scheme) {
  return quantize_weight(Weight::view(weight), scheme);
}

}  // namespace bytegate
