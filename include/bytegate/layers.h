// The layers: Linear, Embedding and the recurrent ones, each with float32 or int8 weights; with the headers that this
// one includes, all layers of the library.
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
#include <bytegate/recurrent.h>
#include <bytegate/reshapes.h>

#include <cstdint>
#include <memory>
#include <optional>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class LinearCore;
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
