// Two tensors side by side. Whatever cannot be compared (other shapes, NaN, infinity) counts as the worst result, so
// that no threshold accepts it and no std::max or std::min of a caller drops it.
#pragma once

#include <bytegate/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

namespace bytegate::testing {

inline constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// Whether the shapes are equal, and both tensors hold as many elements.
inline bool comparable(const Tensor& a, const Tensor& b) {
  return a.shape == b.shape && a.data.size() == b.data.size();
}

/// Largest difference, as a part of max(1, max |reference|). Infinite if the shapes differ or an element of either is
/// NaN or infinite.
inline double difference(const Tensor& ours, const Tensor& reference) {
  if (!comparable(ours, reference)) return kInfinite;
  double largest = 0, scale = 1;
  for (std::size_t i = 0; i < ours.data.size(); ++i) {
    const double expected = reference.data[i];
    const double d = std::fabs(ours.data[i] - expected);
    if (!std::isfinite(d)) return kInfinite;  // finite floats never have an infinite difference in double
    largest = std::max(largest, d);
    scale = std::max(scale, std::fabs(expected));
  }
  return largest / scale;
}

/// Sum of squares of a, or of a - b. Infinite if the shapes differ or an element is NaN or infinite.
inline double energy(const Tensor& a, const Tensor* b = nullptr) {
  if (b && !comparable(a, *b)) return kInfinite;
  double sum = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    const double d = static_cast<double>(a.data[i]) - (b ? b->data[i] : 0.0f);
    sum += d * d;
  }
  return std::isnan(sum) ? kInfinite : sum;
}

/// Signal-to-quantization-noise ratio in dB: infinite if equal, -infinite if the tensors cannot be compared or the
/// signal is zero.
inline double sqnr(const Tensor& reference, const Tensor& out) {
  const double noise = energy(reference, &out);
  if (!std::isfinite(noise)) return -kInfinite;
  return noise == 0 ? kInfinite : 10 * std::log10(energy(reference) / noise);
}

/// The energy of ours - theirs as a part of the noise that `theirs` has against `reference`. 0 if ours equals theirs,
/// infinite if the tensors cannot be compared.
inline double noise_part(const Tensor& ours, const Tensor& theirs, const Tensor& reference) {
  const double apart = energy(ours, &theirs), noise = energy(theirs, &reference);
  if (!std::isfinite(apart) || !std::isfinite(noise)) return kInfinite;
  return apart == 0 ? 0 : apart / noise;
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return comparable(a, b) &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) == 0);
}

/// Empty if a and b have the same bits (any NaN equals any NaN), else the first place where they differ.
inline std::string first_difference(const Tensor& a, const Tensor& b) {
  if (!(a.shape == b.shape)) return "shapes " + to_string(a.shape) + " and " + to_string(b.shape);
  if (!comparable(a, b)) {
    return std::to_string(a.data.size()) + " and " + std::to_string(b.data.size()) + " elements of the same shape";
  }
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    const bool both_nan = std::isnan(a.data[i]) && std::isnan(b.data[i]);
    if (both_nan || std::memcmp(&a.data[i], &b.data[i], sizeof(float)) == 0) continue;
    char text[128];
    std::snprintf(text, sizeof text, "element %zu of %zu: %a and %a", i, a.data.size(), static_cast<double>(a.data[i]),
                  static_cast<double>(b.data[i]));
    return text;
  }
  return {};
}

}  // namespace bytegate::testing
