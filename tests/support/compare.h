// Two tensors side by side.
#pragma once

#include <bytegate/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

namespace bytegate::testing {

/// Largest difference, as a part of max(1, max |reference|); infinite if shapes differ or a difference is NaN.
inline double difference(const Tensor& ours, const Tensor& reference) {
  if (!(ours.shape == reference.shape)) return std::numeric_limits<double>::infinity();
  double most = 0, scale = 1;
  for (std::size_t i = 0; i < ours.data.size(); ++i) {
    const double d = std::fabs(static_cast<double>(ours.data[i]) - reference.data[i]);
    if (std::isnan(d)) return std::numeric_limits<double>::infinity();  // std::max in a caller would drop NaN
    most = std::max(most, d);
    scale = std::max(scale, std::fabs(static_cast<double>(reference.data[i])));
  }
  return most / scale;
}

/// Sum of squares of a, or of a - b.
inline double energy(const Tensor& a, const Tensor* b = nullptr) {
  double sum = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    const double d = static_cast<double>(a.data[i]) - (b ? b->data[i] : 0.0f);
    sum += d * d;
  }
  return sum;
}

/// Signal-to-quantization-noise ratio in dB; infinite if equal.
inline double sqnr(const Tensor& reference, const Tensor& out) {
  const double noise = energy(reference, &out);
  return noise == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(energy(reference) / noise);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape == b.shape && (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) == 0);
}

/// Empty if a and b have the same bits (any NaN equals any NaN), else where they part.
inline std::string first_difference(const Tensor& a, const Tensor& b) {
  if (!(a.shape == b.shape)) return "shapes " + to_string(a.shape) + " and " + to_string(b.shape);
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    if (std::memcmp(&a.data[i], &b.data[i], sizeof(float)) == 0 || (std::isnan(a.data[i]) && std::isnan(b.data[i]))) continue;
    char text[128];
    std::snprintf(text, sizeof text, "element %zu of %zu: %a and %a", i, a.data.size(), static_cast<double>(a.data[i]),
                  static_cast<double>(b.data[i]));
    return text;
  }
  return {};
}

}  // namespace bytegate::testing
