#include "io/floats.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace bytegate::detail {
namespace {

template <class Stored, class Convert>
std::vector<float> convert_all(const StoredTensor& tensor, const Convert& convert) {
  std::vector<float> out(tensor.data.size() / sizeof(Stored));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;  // the data may be unaligned
    std::memcpy(&value, tensor.data.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(value);
  }
  return out;
}

/// IEEE half precision: 1 sign, 5 exponent and 10 fraction bits.
float from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
  const float tiny = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -tiny : tiny;
}

}  // namespace

bool is_float_dtype(std::string_view dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64"; }

std::optional<std::vector<float>> to_floats(const StoredTensor& tensor) {
  if (tensor.dtype == "F16") return convert_all<std::uint16_t>(tensor, from_half);
  if (tensor.dtype == "BF16") {
    return convert_all<std::uint16_t>(tensor,
                                      [](std::uint16_t v) { return std::bit_cast<float>(static_cast<std::uint32_t>(v) << 16); });
  }
  if (tensor.dtype == "F32") return convert_all<float>(tensor, [](float v) { return v; });
  bool fits = true;
  std::vector<float> out = convert_all<double>(tensor, [&](double v) {
    if (std::isfinite(v) && std::fabs(v) > std::numeric_limits<float>::max()) {
      fits = false;
      return 0.0f;
    }
    return static_cast<float>(v);
  });
  return fits ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace bytegate::detail
