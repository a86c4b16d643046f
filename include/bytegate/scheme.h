// How weights and activations are quantized.
#pragma once

#include <bytegate/error.h>

#include <string>
#include <string_view>

namespace bytegate {

/// `accurate`: weights per output channel, s = absmax / 127; activations per row, 8 bits, affine (docs/numerics.md).
/// `torch`: PyTorch's own dynamic quantization: weights per tensor or per channel, s = absmax / 127.5, one activation scale for
/// the whole tensor of each call, 8 bits (its qnnpack engine) or 7 (fbgemm, onednn with reduce_range).
struct Scheme {
  enum class Kind { accurate, torch };

  Kind kind = Kind::accurate;
  bool per_channel = true;   ///< always true for `accurate`
  int activation_bits = 8;   ///< always 8 for `accurate`

  static Scheme accurate() { return {}; }
  /// Throws Error (invalid_argument) unless activation_bits is 7 or 8.
  static Scheme torch(bool per_channel = false, int activation_bits = 8);

  bool operator==(const Scheme&) const = default;
};

/// accurate, torch_per_tensor_8bit, torch_per_channel_7bit, ...
std::string to_string(const Scheme& scheme);
/// The scheme of such a name; `torch` alone means torch_per_tensor_8bit. Throws Error (invalid_argument) listing all names.
Scheme parse_scheme(std::string_view name);

}  // namespace bytegate
