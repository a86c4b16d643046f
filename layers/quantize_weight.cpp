#include <algorithm>
#include <cfloat>
#include <cmath>

#include "layers/staging.h"

namespace bytegate {
namespace {

float absmax(std::span<const float> values) {
  float m = 0;
  for (float v : values) m = std::max(m, std::fabs(v));
  return m;
}

/// s = absmax / 127 in float; q = w / s in double, so that a denormal s does no harm. No weight becomes -128.
float quantize_accurate(std::span<const float> w, std::int8_t* q) {
  float scale = absmax(w) / 127.0f;
  if (scale == 0) scale = 1;
  for (std::size_t i = 0; i < w.size(); ++i) {
    q[i] = static_cast<std::int8_t>(std::clamp(std::nearbyint(static_cast<double>(w[i]) / scale), -127.0, 127.0));
  }
  return scale;
}

/// PyTorch's (reference: its MinMaxObserver and PerChannelMinMaxObserver, symmetric, qint8).
float quantize_torch(std::span<const float> w, std::int8_t* q) {
  const float scale = std::max(absmax(w) / 127.5f, FLT_EPSILON);
  const float inverse = 1.0f / scale;
  for (std::size_t i = 0; i < w.size(); ++i) {
    q[i] = static_cast<std::int8_t>(std::clamp(std::nearbyint(w[i] * inverse), -128.0f, 127.0f));
  }
  return scale;
}

}  // namespace

QuantizedWeight quantize_weight(ConstTensorView weight, const Scheme& scheme) {
  detail::check_shape(weight.shape.rank() == 2, "the weight", weight.shape, "[rows, cols]");
  detail::check_data(weight.data, "the weight", weight.shape);
  const std::span<const float> values(weight.data, weight.shape.elements());
  detail::check_finite(values, "the weight");
  QuantizedWeight q{weight.shape[0], weight.shape[1], std::vector<std::int8_t>(values.size()), {}};
  const auto quantize = scheme.kind == Scheme::Kind::accurate ? quantize_accurate : quantize_torch;
  if (!scheme.per_channel) {
    q.scales.push_back(quantize(values, q.data.data()));
    return q;
  }
  const auto cols = static_cast<std::size_t>(q.cols);
  for (std::size_t row = 0; row < static_cast<std::size_t>(q.rows); ++row) {
    q.scales.push_back(quantize(values.subspan(row * cols, cols), q.data.data() + row * cols));
  }
  return q;
}

}  // namespace bytegate
