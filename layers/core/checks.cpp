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

void check_num_threads(int num_threads) {
  if (num_threads < 1 || num_threads > 256)
    throw_error(ErrorCode::invalid_argument, {"num_threads is ", num_threads, ", expected 1 to 256"});
}

void check_shape(bool ok, TextPart what, const Shape& shape, TextPart expected) {
  if (ok) return;
  throw_error(ErrorCode::shape_mismatch, {what, " has shape ", TextPart::list(shape.dims()), ", expected ", expected});
}

void check_shape(bool ok, TextPart what, const Shape& shape, const Shape& expected) {
  check_shape(ok, what, shape, TextPart::list(expected.dims()));
}

void check_data(const void* data, TextPart what, const Shape& shape) {
  if (data || shape.elements() == 0) return;
  throw_error(ErrorCode::invalid_argument,
              {what, " is null, expected a tensor of shape ", TextPart::list(shape.dims())});
}

void check_finite(std::span<const float> values, TextPart what, std::size_t first) {
  const auto bad = std::ranges::find_if_not(values, is_finite);
  if (bad == values.end()) return;
  const std::size_t element = first + static_cast<std::size_t>(bad - values.begin());
  throw_error(ErrorCode::invalid_argument,
              {what, " holds NaN or infinity at element ", element, "; only finite values can be quantized"});
}

void check_scales(std::span<const float> scales, std::int64_t rows, TextPart what) {
  if (scales.size() != 1 && scales.size() != static_cast<std::size_t>(rows)) {
    throw_error(ErrorCode::shape_mismatch, {what, " has ", scales.size(), " scales, expected 1 or ", rows});
  }
  check_finite(scales, what);
  if (std::ranges::any_of(scales, [](float s) { return s < 0; })) {
    throw_error(ErrorCode::invalid_argument, {what, " has a negative scale; scales are 0 or more"});
  }
}

void check_quantized(const QuantizedWeight& weight, TextPart what) {
  const Shape shape{weight.rows, weight.cols};
  if (weight.data.size() != shape.elements()) {
    throw_error(ErrorCode::shape_mismatch,
                {what, " has ", weight.data.size(), " values for shape ", TextPart::list(shape.dims())});
  }
  check_scales(weight.scales, weight.rows, what);
}

}  // namespace bytegate::detail
