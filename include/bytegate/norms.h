// Normalization layers.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <memory>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
struct LayerNormCore;
}

/// (x - mean) / sqrt(var + eps) * weight + bias over the last dimension, as torch.nn.LayerNorm(normalized_shape); var
/// has the divisor normalized_shape. Mean and variance are summed in double (docs/numerics.md). A row with NaN or
/// infinity is NaN and touches no other.
class LayerNorm final : public Layer {
 public:
  /// weight and bias [normalized_shape], copied; null data for none of either (elementwise_affine=False), or no bias
  /// alone. Throws Error unless normalized_shape is 1 to 2^30 - 1, eps finite and 0 or more, and there is no bias
  /// without a weight.
  LayerNorm(std::int64_t normalized_shape, ConstTensorView weight, ConstTensorView bias, double eps = 1e-5);

  /// x [..., normalized_shape], y of the same shape; y may be x.
  void forward(ConstTensorView x, TensorView y) const;

  std::int64_t normalized_shape() const noexcept;
  double eps() const noexcept;

  std::int64_t input_size() const noexcept override { return normalized_shape(); }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;

 private:
  std::shared_ptr<const detail::LayerNormCore> core_;
};

}  // namespace bytegate
#pragma GCC visibility pop
