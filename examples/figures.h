// Error measures of an output against a reference of the same shape.
#pragma once

#include <bytegate/tensor.h>

#include <cmath>
#include <cstddef>
#include <stdexcept>

namespace demo {

inline void require_equal_sizes(const bytegate::Tensor& reference, const bytegate::Tensor& out) {
  if (reference.data.size() != out.data.size())
    throw std::runtime_error("two outputs of different sizes cannot be compared");
}

/// Largest absolute difference. NaN if an element of either is NaN, or if both are the same infinity.
inline double max_error(const bytegate::Tensor& reference, const bytegate::Tensor& out) {
  require_equal_sizes(reference, out);
  double largest = 0;
  for (std::size_t i = 0; i < reference.data.size(); ++i) {
    const double error = std::abs(static_cast<double>(reference.data[i]) - out.data[i]);
    if (std::isnan(error)) return error;  // no comparison with NaN is true: a later, finite error would replace it
    if (error > largest) largest = error;
  }
  return largest;
}

/// Signal-to-quantization-noise ratio: 10 log10(sum ref^2 / sum (ref - out)^2), in dB. NaN if an element of either is
/// NaN.
inline double sqnr(const bytegate::Tensor& reference, const bytegate::Tensor& out) {
  require_equal_sizes(reference, out);
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < reference.data.size(); ++i) {
    const double r = reference.data[i];
    signal += r * r;
    noise += (r - out.data[i]) * (r - out.data[i]);
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace demo
