// Tensors of any floating-point type of the format as float32.
#pragma once

#include <bytegate/safetensors.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace bytegate::detail {

/// F32, F16, BF16 or F64.
bool is_float_dtype(std::string_view dtype);

/// Reads out.size() values of a tensor of such a type, from value `first` on. Returns false if a finite one is too
/// large for float32.
bool read_floats(const SafetensorsFile& file, const StoredTensor& tensor, std::uint64_t first, std::span<float> out);

}  // namespace bytegate::detail
