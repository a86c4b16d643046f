#include "layers/staging.h"

#include <algorithm>
#include <cmath>

namespace bytegate::detail {

void check_shape(bool ok, const char* what, const Shape& shape, const char* expected) {
  if (!ok) throw Error(ErrorCode::shape_mismatch, std::string(what) + " has shape " + to_string(shape) + ", expected " + expected);
}

void check_data(const void* data, const char* what, const Shape& shape) {
  if (!data && shape.elements() > 0) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " is null, expected a tensor of shape " + to_string(shape));
  }
}

void check_finite(std::span<const float> values, const char* what) {
  const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " holds NaN or infinity at element " + std::to_string(bad - values.begin()) +
                                                 "; only finite values can be quantized");
  }
}

void check_quantized(const QuantizedWeight& weight, const char* what) {
  const Shape shape{weight.rows, weight.cols};
  if (weight.data.size() != shape.elements()) {
    throw Error(ErrorCode::shape_mismatch, std::string(what) + " has " + std::to_string(weight.data.size()) + " values for shape " + to_string(shape));
  }
  if (weight.scales.size() != 1 && weight.scales.size() != static_cast<std::size_t>(weight.rows)) {
    throw Error(ErrorCode::shape_mismatch, std::string(what) + " has " + std::to_string(weight.scales.size()) + " scales, expected 1 or " +
                                               std::to_string(weight.rows));
  }
  check_finite(weight.scales, what);
  if (std::ranges::any_of(weight.scales, [](float s) { return s < 0; })) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " has a negative scale; scales are 0 or more");
  }
}

}  // namespace bytegate::detail
