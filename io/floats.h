// Tensors of any floating-point type of the format as float32.
#pragma once

#include <bytegate/safetensors.h>

#include <optional>
#include <string_view>
#include <vector>

namespace bytegate::detail {

/// F32, F16, BF16 or F64.
bool is_float_dtype(std::string_view dtype);

/// The values of a tensor of such a type; none if a finite one is too large for float32.
std::optional<std::vector<float>> to_floats(const StoredTensor& tensor);

}  // namespace bytegate::detail
