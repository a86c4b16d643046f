// The layers: Linear, LSTM, Embedding, each with float32 or int8 weights; with the headers that this one includes, all
// layers of the library.
//
// Copies of a layer share its weights. A layer is bound to one backend for good: null means default_backend().
// `forward` checks shapes before it touches anything and throws Error (shape_mismatch, invalid_argument) for wrong
// ones. Views that it is passed must not overlap unless it is said otherwise. It computes in its own floating-point
// environment (round to nearest, subnormal numbers kept) and restores the caller's. Constructors throw Error for wrong
// shapes, NaN or infinity in quantized layers, and more than 65,536 input features.
#pragma once

#include <bytegate/activations.h>
#include <bytegate/conv1d.h>
#include <bytegate/layer.h>
#include <bytegate/norms.h>
#include <bytegate/reshapes.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class LinearCore;
class RecurrentCore;
struct EmbeddingCore;
}  // namespace detail

/// y = x * weight^T + bias, as torch.nn.Linear; optionally with a fused ReLU. With int8 weights, activations are
/// quantized on the fly: y = fma(acc, sx * sw, bias) with acc the exact int32 product.
class Linear final : public Layer {
 public:
  /// float32. weight [out_features, in_features]; bias [out_features], or null data for none. Both are copied.
  Linear(ConstTensorView weight, ConstTensorView bias, bool relu = false, const Backend* backend = nullptr);
  /// int8 or float32, as the weight is; `scheme` says how activations of an int8 layer are quantized.
  Linear(const Weight& weight, ConstTensorView bias, const Scheme& scheme, bool relu = false,
         const Backend* backend = nullptr);
  /// The int8 layer of a float32 one. A null backend means that of `linear`.
  static Linear from_float(const Linear& linear, const Scheme& scheme = {}, const Backend* backend = nullptr);

  /// x [..., in_features] -> y [..., out_features], the leading dimensions the same, possibly none.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace) const;
  Tensor forward(const Tensor& x) const;

  std::int64_t in_features() const noexcept;
  std::int64_t out_features() const noexcept;
  bool relu() const noexcept;
  bool quantized() const noexcept;
  const std::optional<Scheme>& scheme() const noexcept;  ///< of an int8 layer
  Weight weight() const;                                 ///< a copy, [out_features, in_features]
  std::optional<Tensor> bias() const;                    ///< a copy, [out_features]
  const Backend& backend() const noexcept;

  std::int64_t input_size() const noexcept override { return in_features(); }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;
  void forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                    std::span<const std::int64_t> lengths, const Layer& next) const override;
  LayerPtr quantize_dynamic(const Scheme& scheme, const Backend* backend) const override;

 private:
  std::shared_ptr<const detail::LinearCore> core_;
};

/// The options of torch.nn.LSTM. Its dropout has no effect on inference and is not kept.
struct RecurrentConfig {
  std::int64_t input_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  bool bidirectional = false;
  std::int64_t proj_size = 0;

  std::int64_t directions() const noexcept { return bidirectional ? 2 : 1; }
  std::int64_t output_size() const noexcept { return proj_size > 0 ? proj_size : hidden_size; }  ///< of one direction
  std::int64_t layer_input_size(std::int64_t layer) const noexcept {
    return layer == 0 ? input_size : output_size() * directions();
  }
  bool operator==(const RecurrentConfig&) const = default;
};
using LSTMConfig = RecurrentConfig;

/// Throws Error (invalid_argument) unless sizes are 1 to 65,536 and proj_size is 0 or below hidden_size.
void validate(const RecurrentConfig& config);

/// PyTorch's suffix of the names of a cell's tensors: "_l0", "_l0_reverse", "_l1", ...
std::string lstm_suffix(std::int64_t layer, bool reverse);

/// The weights of one layer and direction under PyTorch's names. All matrices are float32, or all are int8.
struct LSTMCell {
  Weight weight_ih;  ///< [4 * hidden_size, layer input size], gates i, f, g, o
  Weight weight_hh;  ///< [4 * hidden_size, output size]
  Tensor bias_ih;    ///< [4 * hidden_size]; empty if the layer has no biases
  Tensor bias_hh;    ///< [4 * hidden_size]
  Weight weight_hr;  ///< [proj_size, hidden_size]; empty without a projection
};

/// The state of every layer and direction of an LSTM, PyTorch's h_n and c_n.
struct LSTMState {
  Tensor h;  ///< [num_layers * directions, B, output size], without B for unbatched input
  Tensor c;  ///< [num_layers * directions, B, hidden_size]
};

/// The optional parts of a call. Views may be null. hn may be h0 and cn may be c0.
struct LSTMArgs {
  ConstTensorView h0;  ///< null: zeros
  ConstTensorView c0;
  TensorView hn;  ///< null: not wanted
  TensorView cn;
  std::span<const std::int64_t> lengths;  ///< [B] steps of each sequence, 1..T, in any order; empty: all T
};

struct LSTMResult {
  Tensor output;
  LSTMState state;
};

/// torch.nn.LSTM. With int8 weights (weight_hr too), activations are quantized on the fly; gates and state are float32.
/// Under the per_row scheme a step at a time computes the bits of the whole sequence, and a batch those of its rows
/// alone.
class LSTM final : public Layer {
 public:
  /// float32 or int8, as the weights are. cells: layer by layer, forward before reverse. Copied. `scheme` says how
  /// activations of an int8 layer are quantized.
  LSTM(const LSTMConfig& config, const std::vector<LSTMCell>& cells, const Backend* backend = nullptr);
  LSTM(const LSTMConfig& config, const std::vector<LSTMCell>& cells, const Scheme& scheme,
       const Backend* backend = nullptr);
  /// The int8 layer of a float32 one. A null backend means that of `lstm`.
  static LSTM from_float(const LSTM& lstm, const Scheme& scheme = {}, const Backend* backend = nullptr);

  /// x [T, B, input_size] ([B, T, input_size] if batch_first), or unbatched [T, input_size] -> y with directions *
  /// output size in place of input_size. Steps of y past a sequence's length are zeros.
  void forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const;
  LSTMResult forward(const Tensor& x, const LSTMState* state = nullptr,
                     std::span<const std::int64_t> lengths = {}) const;

  const LSTMConfig& config() const noexcept;
  bool quantized() const noexcept;
  const std::optional<Scheme>& scheme() const noexcept;  ///< of an int8 layer
  std::vector<LSTMCell> cells() const;                   ///< copies
  const Backend& backend() const noexcept;

  std::int64_t input_size() const noexcept override { return config().input_size; }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  /// `state`: h and c.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  std::vector<Shape> state_shapes(const Shape& x) const override;
  void describe(LayerVisitor& visitor) const override;
  LayerPtr quantize_dynamic(const Scheme& scheme, const Backend* backend) const override;

 private:
  explicit LSTM(std::shared_ptr<const detail::RecurrentCore> core) noexcept : core_(std::move(core)) {}
  std::shared_ptr<const detail::RecurrentCore> core_;
};

/// y = weight[index], as torch.nn.Embedding. With int8 weights, each row has one scale: y = scale * q.
class Embedding final : public Layer {
 public:
  /// weight [num_embeddings, embedding_dim], float32 or int8. Copied.
  explicit Embedding(const Weight& weight);
  explicit Embedding(ConstTensorView weight) : Embedding(Weight::view(weight)) {}
  static Embedding from_float(const Embedding& embedding);

  /// x [...] -> y [..., embedding_dim]. Throws Error (invalid_argument) for an index outside 0..num_embeddings-1.
  void forward(IndexView x, TensorView y) const;

  std::int64_t num_embeddings() const noexcept;
  std::int64_t embedding_dim() const noexcept;
  bool quantized() const noexcept;
  Weight weight() const;

  bool takes_indices() const noexcept override { return true; }
  std::int64_t input_size() const noexcept override { return num_embeddings(); }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(IndexView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;
  LayerPtr quantize_dynamic(const Scheme& scheme, const Backend* backend) const override;

 private:
  std::shared_ptr<const detail::EmbeddingCore> core_;
};

}  // namespace bytegate
#pragma GCC visibility pop
