// How far one output is from another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace bytegate::cli {

struct Accuracy {
  double sqnr_db = std::numeric_limits<double>::infinity();  ///< 10 log10(sum ref^2 / sum (ref - out)^2)
  double max_error = 0;
  bool identical = true;
};

/// `out` has as many values as `reference`. A NaN in either makes both figures NaN.
inline Accuracy accuracy(std::span<const float> reference, std::span<const float> out) {
  Accuracy result;
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double difference = static_cast<double>(reference[i]) - static_cast<double>(out[i]);
    signal += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
    noise += difference * difference;
    result.max_error = std::isnan(difference) ? difference : std::max(result.max_error, std::abs(difference));
  }
  result.identical = noise == 0;
  if (std::isnan(noise))
    result.max_error = result.sqnr_db = noise;
  else if (!result.identical)
    result.sqnr_db = 10 * std::log10(signal / noise);
  return result;
}

}  // namespace bytegate::cli
