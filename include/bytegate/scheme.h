// How weights and activations are quantized.
#pragma once

#include <bytegate/error.h>

#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace bytegate {

/// A quantization scheme. The default is `per_row`.
class Scheme {
 public:
  Scheme() = default;
  /// Weights: one scale an output channel, absmax / 127. Activations: 8 bits, affine, one scale a row
  /// (docs/numerics.md).
  static Scheme per_row() noexcept { return {}; }
  /// PyTorch's own dynamic quantization. Weights: one scale an output channel or one in all, absmax / 127.5.
  /// Activations: one scale for the whole tensor of each call, of 8 bits (its qnnpack engine) or 7 (fbgemm, onednn with
  /// reduce_range). Throws Error (invalid_argument) unless activation_bits is 7 or 8.
  static Scheme torch(bool per_channel = false, int activation_bits = 8);

  /// Whether activations are quantized as PyTorch does it, one scale a tensor.
  bool is_torch() const noexcept { return torch_; }
  /// Whether each output channel of the weights has a scale of its own.
  bool per_channel() const noexcept { return per_channel_; }
  int activation_bits() const noexcept { return activation_bits_; }

  bool operator==(const Scheme&) const = default;

 private:
  bool torch_ = false;
  bool per_channel_ = true;
  int activation_bits_ = 8;
};

/// per_row, torch_per_tensor_8bit, torch_per_channel_7bit, ...
std::string to_string(const Scheme& scheme);
/// The scheme of such a name. `torch` alone means torch_per_tensor_8bit; `accurate`, per_row's name in files of earlier
/// versions, is accepted. Throws Error (invalid_argument) listing all names.
Scheme parse_scheme(std::string_view name);

}  // namespace bytegate
#pragma GCC visibility pop
