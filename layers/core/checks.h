// Checks of what callers pass, and the errors that they throw.
#pragma once

#include <bytegate/backends.h>
#include <bytegate/error.h>
#include <bytegate/tensor.h>
#include <bytegate/weight.h>

#include <cstddef>
#include <span>

namespace bytegate::detail {

/// Throws Error (invalid_argument) unless it is a number of threads that a call may be asked to use, 1 to 256.
void check_num_threads(int num_threads);
/// Throws Error (shape_mismatch) "WHAT has shape [..], expected EXPECTED" unless `ok`.
void check_shape(bool ok, TextPart what, const Shape& shape, TextPart expected);
void check_shape(bool ok, TextPart what, const Shape& shape, const Shape& expected);
/// Throws Error (invalid_argument) for null data of a tensor with elements.
void check_data(const void* data, TextPart what, const Shape& shape);
/// Throws Error (invalid_argument) if a value is NaN or infinite. `first` is the index of values[0] in the tensor.
void check_finite(std::span<const float> values, TextPart what, std::size_t first = 0);
/// Throws Error unless there are `rows` scales or one, and they are finite and not negative.
void check_scales(std::span<const float> scales, std::int64_t rows, TextPart what);
/// Throws Error unless the sizes of an int8 matrix agree, and its scales are as check_scales wants them.
void check_quantized(const QuantizedWeight& weight, TextPart what);

}  // namespace bytegate::detail
