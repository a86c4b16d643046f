// Normalization layers.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <memory>

#pragma GCC visibility push(default)
namespace bytegate {

class Conv1d;
class Linear;

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

/// torch.nn.BatchNorm1d at inference: (x - running_mean) / sqrt(running_var + eps) * weight + bias for each channel. It
/// is no layer of its own: it is folded into the float Linear or Conv1d right before it, by fold_batch_norm or, where
/// an architecture names it (`batch_norm1d`), while the file is read.
struct BatchNorm1d {
  Tensor running_mean;  ///< [channels]
  Tensor running_var;   ///< [channels]
  Tensor weight;        ///< [channels], or empty for ones
  Tensor bias;          ///< [channels], or empty for zeros
  double eps = 1e-5;

  /// Throws Error (shape_mismatch, invalid_argument) for other shapes, or where a variance plus eps is not above 0.
  ChannelAffine affine() const;
};

/// The layer with the normalization of its output channels in its weight and bias, rounded once to float32. Throws
/// Error (invalid_argument, shape_mismatch) for an int8 layer, a Linear with a ReLU, or another number of channels.
Linear fold_batch_norm(const Linear& layer, const BatchNorm1d& norm);
Conv1d fold_batch_norm(const Conv1d& layer, const BatchNorm1d& norm);

}  // namespace bytegate
#pragma GCC visibility pop
