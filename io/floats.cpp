#include "io/floats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bytegate::detail {
namespace {

/// Reads values of another type through a small buffer.
template <class Stored, class Convert>
void read_converted(const SafetensorsFile& file, const StoredTensor& tensor, std::uint64_t first, std::span<float> out,
                    const Convert& convert) {
  std::array<Stored, 4096> buffer;
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t count = std::min(buffer.size(), out.size() - done);
    file.read(tensor, (first + done) * sizeof(Stored), std::as_writable_bytes(std::span(buffer).first(count)));
    for (std::size_t i = 0; i < count; ++i) out[done + i] = convert(buffer[i]);
    done += count;
  }
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

bool is_float_dtype(std::string_view dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

bool read_floats(const SafetensorsFile& file, const StoredTensor& tensor, std::uint64_t first, std::span<float> out) {
  if (tensor.dtype == "F32") {
    file.read(tensor, first * sizeof(float), std::as_writable_bytes(out));
    return true;
  }
  if (tensor.dtype == "F16") {
    read_converted<std::uint16_t>(file, tensor, first, out, from_half);
    return true;
  }
  if (tensor.dtype == "BF16") {
    read_converted<std::uint16_t>(file, tensor, first, out,
                                  [](std::uint32_t v) { return std::bit_cast<float>(v << 16); });
    return true;
  }
  bool fits = true;
  read_converted<double>(file, tensor, first, out, [&](double v) {
    fits = fits && !(std::isfinite(v) && std::fabs(v) > std::numeric_limits<float>::max());
    return static_cast<float>(v);
  });
  return fits;
}

}  // namespace bytegate::detail
