// One-dimensional convolution.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class Conv1dCore;
}

/// The options of torch.nn.Conv1d, and two of the library's own.
struct Conv1dConfig {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::int64_t kernel_size = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;  ///< zeros in front of the first step and behind the last
  std::int64_t dilation = 1;
  std::int64_t groups = 1;     ///< or in_channels, with as many out_channels (depthwise)
  bool channels_last = false;  ///< tensors are [B, T, C], as recurrent layers with batch_first have them, not [B, C, T]
  /// (kernel_size - 1) * dilation zeros in front of the first step and none behind, so that a step of the output
  /// depends on no later one; padding is 0. Such a layer has a state and can be streamed.
  bool causal = false;

  bool operator==(const Conv1dConfig&) const = default;
};

/// Throws Error (invalid_argument) unless the sizes are 1 to 65,536, the padding 0 to 65,536, and the options as
/// Conv1dConfig has them.
void validate(const Conv1dConfig& config);

/// torch.nn.Conv1d: y[b, o, t] = bias[o] + sum over c, k of weight[o, c, k] * x[b, c, t * stride + k * dilation -
/// padding]. With int8 weights, activations are quantized on the fly: the in_channels * kernel_size inputs of one
/// output position, zeros of the padding among them, are a row as a Linear has it. So a batch has the bits of its items
/// alone, and a stream those of the whole sequence. It is fastest on channels-last tensors with dilation 1, where rows
/// are read where they are.
class Conv1d final : public Layer {
 public:
  /// float32. weight [out_channels, in_channels / groups, kernel_size]; bias [out_channels], or null data for none.
  /// Both are copied.
  Conv1d(const Conv1dConfig& config, ConstTensorView weight, ConstTensorView bias, const Backend* backend = nullptr);
  /// int8 or float32, as the weight is: a matrix [out_channels, in_channels / groups * kernel_size]. `scheme` says how
  /// activations of an int8 layer are quantized.
  Conv1d(const Conv1dConfig& config, const Weight& weight, ConstTensorView bias, const Scheme& scheme,
         const Backend* backend = nullptr);
  /// The int8 layer of a float32 one. A null backend means that of `conv`.
  static Conv1d from_float(const Conv1d& conv, const Scheme& scheme = {}, const Backend* backend = nullptr);

  /// The same layer for tensors of that layout, with the same weights in memory.
  Conv1d in_layout(bool channels_last) const;

  /// x [B, in_channels, T] (channels_last: [B, T, in_channels]), or without B -> y [B, out_channels, T'], T' = (T + 2 *
  /// padding - dilation * (kernel_size - 1) - 1) / stride + 1, rounded down; causal: T / stride, rounded up.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace) const;
  Tensor forward(const Tensor& x) const;

  const Conv1dConfig& config() const noexcept;
  bool quantized() const noexcept;
  const std::optional<Scheme>& scheme() const noexcept;  ///< of an int8 layer
  Weight weight() const;                                 ///< a copy, [out_channels, in_channels / groups * kernel_size]
  std::optional<Tensor> bias() const;                    ///< a copy, [out_channels]
  const Backend& backend() const noexcept;

  std::int64_t input_size() const noexcept override;
  Shape sample_shape(std::int64_t batch, std::int64_t steps) const override;
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  /// `state` of a causal layer: the (kernel_size - 1) * dilation inputs before x, in the layout of x. T must then be a
  /// multiple of stride, so that the next call goes on where this one ends.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  /// Inputs past the end of a sequence count as the zeros of the padding, whatever they are.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
               std::span<const std::int64_t> lengths) const override;
  std::int64_t output_steps(std::int64_t steps) const override;
  void forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                    std::span<const std::int64_t> lengths, const Layer& next) const override;
  std::vector<Shape> state_shapes(const Shape& x) const override;
  void describe(LayerVisitor& visitor) const override;
  LayerPtr quantize_dynamic(const Scheme& scheme, const Backend* backend) const override;

 private:
  explicit Conv1d(std::shared_ptr<const detail::Conv1dCore> core) noexcept : core_(std::move(core)) {}
  std::shared_ptr<const detail::Conv1dCore> core_;
};

}  // namespace bytegate
#pragma GCC visibility pop
