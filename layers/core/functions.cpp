#include "layers/core/functions.h"

#include <cmath>

namespace bytegate::detail {
namespace {

/// The largest element. NaN may be passed over: it makes the row's sum NaN.
float largest_of(const float* x, std::size_t n) noexcept {
  constexpr std::size_t lanes = 8;
  float max[lanes];
  for (float& m : max) m = x[0];
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) max[lane] = x[i + lane] > max[lane] ? x[i + lane] : max[lane];
  }
  for (; i < n; ++i) max[0] = x[i] > max[0] ? x[i] : max[0];
  for (const float m : max) max[0] = m > max[0] ? m : max[0];
  return max[0];
}

}  // namespace

void softmax_row(const float* x, float* y, std::size_t n) noexcept {
  const float max = largest_of(x, n);
  for (std::size_t i = 0; i < n; ++i) y[i] = exp(x[i] - max);
  const auto sum = static_cast<float>(lane_sum(n, [&](std::size_t i) { return y[i]; }));
  for (std::size_t i = 0; i < n; ++i) y[i] = y[i] / sum;
}

/// The exponentials are computed in pieces, since y may be x.
void log_softmax_row(const float* x, float* y, std::size_t n) noexcept {
  const float max = largest_of(x, n);
  const double sum = lane_sum(n, [&](std::size_t i) { return exp(x[i] - max); });
  const auto log_sum = static_cast<float>(log(sum));
  for (std::size_t i = 0; i < n; ++i) y[i] = (x[i] - max) - log_sum;
}

void normalize_row(const float* x, float* y, std::size_t n, double eps, const float* weight,
                   const float* bias) noexcept {
  const auto count = static_cast<double>(n);
  const auto mean = static_cast<float>(lane_sum(n, [&](std::size_t i) { return x[i]; }) / count);
  const double squares = lane_sum(n, [&](std::size_t i) {
    const double difference = static_cast<double>(x[i] - mean);
    return difference * difference;
  });
  const double inverse = 1.0 / std::sqrt(squares / count + eps);
  for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<float>(static_cast<double>(x[i] - mean) * inverse);
  if (weight && bias) {
    for (std::size_t i = 0; i < n; ++i) y[i] = y[i] * weight[i] + bias[i];
  } else if (weight) {
    for (std::size_t i = 0; i < n; ++i) y[i] = y[i] * weight[i];
  }
}

void relu(const float* x, float* y, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) y[i] = 0.0f > x[i] ? 0.0f : x[i];
}

void leaky_relu(const float* x, float* y, std::size_t n, float slope) noexcept {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

void elu(const float* x, float* y, std::size_t n, float alpha) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float below = alpha * exp_minus_1(x[i] > 0.0f ? 0.0f : x[i]);
    y[i] = x[i] > 0.0f ? x[i] : below;
  }
}

}  // namespace bytegate::detail
