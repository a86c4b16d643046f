#include "layers/core/checks.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

namespace bytegate::detail {
namespace {

/// By its bits, so that no compiler option can make it always true.
bool is_finite(float v) noexcept { return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) != 0x7f800000u; }

}  // namespace

void check_shape(bool ok, const char* what, const Shape& shape, const char* expected) {
  if (ok) return;
  throw Error(ErrorCode::shape_mismatch,
              std::string(what) + " has shape " + to_string(shape) + ", expected " + expected);
}

void check_data(const void* data, const char* what, const Shape& shape) {
  if (data || shape.elements() == 0) return;
  throw Error(ErrorCode::invalid_argument,
              std::string(what) + " is null, expected a tensor of shape " + to_string(shape));
}

void check_finite(std::span<const float> values, const char* what, std::size_t first) {
  const auto bad = std::ranges::find_if_not(values, is_finite);
  if (bad == values.end()) return;
  const std::size_t element = first + static_cast<std::size_t>(bad - values.begin());
  throw Error(ErrorCode::invalid_argument, std::string(what) + " holds NaN or infinity at element " +
                                               std::to_string(element) + "; only finite values can be quantized");
}

void check_scales(std::span<const float> scales, std::int64_t rows, const char* what) {
  if (scales.size() != 1 && scales.size() != static_cast<std::size_t>(rows)) {
    throw Error(ErrorCode::shape_mismatch, std::string(what) + " has " + std::to_string(scales.size()) +
                                               " scales, expected 1 or " + std::to_string(rows));
  }
  check_finite(scales, what);
  if (std::ranges::any_of(scales, [](float s) { return s < 0; })) {
    throw Error(ErrorCode::invalid_argument, std::string(what) + " has a negative scale; scales are 0 or more");
  }
}

void check_quantized(const QuantizedWeight& weight, const char* what) {
  const Shape shape{weight.rows, weight.cols};
  if (weight.data.size() != shape.elements()) {
    throw Error(ErrorCode::shape_mismatch, std::string(what) + " has " + std::to_string(weight.data.size()) +
                                               " values for shape " + to_string(shape));
  }
  check_scales(weight.scales, weight.rows, what);
}

}  // namespace bytegate::detail
