#include "layers/staging.h"

#include <algorithm>
#include <cmath>

namespace bytegate::detail {

TensorQuantizer torch_quantizer(RowRange range, int activation_bits) {
  if (range.lo != range.lo) return {{__builtin_nanf(""), 0}, 0.0f};
  const double qmax = activation_bits == 8 ? 255 : 127;
  double lo = range.lo, hi = range.hi;
  double scale = (hi - lo) / qmax;
  if (static_cast<float>(scale) == 0.0f || std::isinf(1.0f / static_cast<float>(scale))) scale = 0.1;
  constexpr float smallest = 6.1e-5f;
  if (scale < smallest) {  // the range is stretched to match
    const float stretch = smallest / static_cast<float>(scale);
    if (lo == 0) {
      hi = smallest * static_cast<float>(qmax);
    } else if (hi == 0) {
      lo = -smallest * static_cast<float>(qmax);
    } else {
      lo = static_cast<float>(lo) * stretch;
      hi = static_cast<float>(hi) * stretch;
    }
    scale = smallest;
  }
  // From the end of the range with the smaller rounding error.
  const double from_lo = -lo / scale, from_hi = qmax - hi / scale;
  const double zero_point = -std::fabs(lo / scale) < qmax - std::fabs(hi / scale) ? from_lo : from_hi;
  const auto float_scale = static_cast<float>(scale);
  return {{float_scale, static_cast<std::int32_t>(std::nearbyint(std::clamp(zero_point, 0.0, qmax)))}, 1.0f / float_scale};
}

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
