// The layers: Linear, LSTM, Embedding, float and dynamically quantized, ReLU and Flatten.
//
// A layer is immutable after construction; copies share its weights, and any number of threads may call `forward` on it at
// once, each with its own Workspace. A layer is bound to one backend for good: null means default_backend().
// `forward` checks shapes before it touches anything and throws Error (shape_mismatch, invalid_argument) for wrong ones. Views it is
// given must not overlap unless said otherwise. Constructors throw Error for wrong shapes, non-finite weights of quantized layers, K > 65,536.
#pragma once

#include <bytegate/backends.h>
#include <bytegate/scheme.h>
#include <bytegate/tensor.h>
#include <bytegate/workspace.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bytegate {

namespace detail {
class LinearCore;
class LstmCore;
struct EmbeddingCore;
}  // namespace detail

/// An int8 matrix as it is stored: row-major q, and w ~ scale * q with one scale a row (per channel) or one in all (per tensor).
struct QuantizedWeight {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<std::int8_t> data;
  std::vector<float> scales;  ///< [rows] or [1]
};

/// Quantizes a float matrix [rows, cols] by the scheme. Throws Error (invalid_argument) for NaN or infinity.
QuantizedWeight quantize_weight(ConstTensorView weight, const Scheme& scheme);

/// y = x * weight^T + bias, as torch.nn.Linear; optionally with a fused ReLU.
class Linear {
 public:
  /// weight [out_features, in_features], bias [out_features] or null data for none. Both are copied.
  Linear(ConstTensorView weight, ConstTensorView bias, bool relu = false, const Backend* backend = nullptr);

  /// x [..., in_features] -> y [..., out_features], the leading dimensions the same, possibly none.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace) const;
  Tensor forward(const Tensor& x) const;

  std::int64_t in_features() const noexcept;
  std::int64_t out_features() const noexcept;
  bool relu() const noexcept;
  Tensor weight() const;               ///< a copy, [out_features, in_features]
  std::optional<Tensor> bias() const;  ///< a copy, [out_features]
  const Backend& backend() const noexcept;

 private:
  std::shared_ptr<const detail::LinearCore> core_;
};

/// Linear with int8 weights and activations quantized on the fly: y = fma(acc, sx * sw, bias) with acc the exact int32 product.
class DynamicQuantizedLinear {
 public:
  DynamicQuantizedLinear(const QuantizedWeight& weight, ConstTensorView bias, const Scheme& scheme, bool relu = false,
                         const Backend* backend = nullptr);
  static DynamicQuantizedLinear from_float(const Linear& linear, const Scheme& scheme = {}, const Backend* backend = nullptr);

  void forward(ConstTensorView x, TensorView y, Workspace& workspace) const;
  Tensor forward(const Tensor& x) const;

  std::int64_t in_features() const noexcept;
  std::int64_t out_features() const noexcept;
  bool relu() const noexcept;
  const Scheme& scheme() const noexcept;
  QuantizedWeight weight() const;
  std::optional<Tensor> bias() const;
  const Backend& backend() const noexcept;

 private:
  std::shared_ptr<const detail::LinearCore> core_;
};

/// The options of torch.nn.LSTM. Its dropout has no effect on inference and is not kept.
struct LSTMConfig {
  std::int64_t input_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  bool bidirectional = false;
  std::int64_t proj_size = 0;

  std::int64_t directions() const noexcept { return bidirectional ? 2 : 1; }
  std::int64_t output_size() const noexcept { return proj_size > 0 ? proj_size : hidden_size; }  ///< of one direction
  std::int64_t layer_input_size(std::int64_t layer) const noexcept { return layer == 0 ? input_size : output_size() * directions(); }
  bool operator==(const LSTMConfig&) const = default;
};

/// Throws Error (invalid_argument) unless sizes are at least 1, proj_size is 0 or below hidden_size.
void check(const LSTMConfig& config);

/// PyTorch's suffix of a cell's tensors: "_l0", "_l0_reverse", "_l1", ...
std::string lstm_suffix(std::int64_t layer, bool reverse);

/// One layer and direction; Weight is Tensor (float) or QuantizedWeight. PyTorch's names and shapes:
template <class Weight>
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
  TensorView hn;       ///< null: not wanted
  TensorView cn;
  std::span<const std::int64_t> lengths;  ///< [B] steps of each sequence, 1..T, in any order; empty: all T
};

struct LSTMResult {
  Tensor output;
  LSTMState state;
};

/// torch.nn.LSTM in float32.
class LSTM {
 public:
  /// cells: layer by layer, forward before reverse. Copied.
  LSTM(const LSTMConfig& config, const std::vector<LSTMCell<Tensor>>& cells, const Backend* backend = nullptr);

  /// x [T, B, input_size] ([B, T, input_size] if batch_first), or unbatched [T, input_size] -> y with directions * output size.
  /// Steps of y past a sequence's length are zeros.
  void forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const;
  LSTMResult forward(const Tensor& x, const LSTMState* state = nullptr, std::span<const std::int64_t> lengths = {}) const;

  const LSTMConfig& config() const noexcept;
  std::vector<LSTMCell<Tensor>> cells() const;  ///< copies
  const Backend& backend() const noexcept;

 private:
  std::shared_ptr<const detail::LstmCore> core_;
};

/// LSTM with int8 weights (weight_hr too) and activations quantized on the fly; gates and state float32. Under the accurate
/// scheme a step at a time gives the bits of the whole sequence, and a batch those of its rows alone.
class DynamicQuantizedLSTM {
 public:
  DynamicQuantizedLSTM(const LSTMConfig& config, const std::vector<LSTMCell<QuantizedWeight>>& cells, const Scheme& scheme,
                       const Backend* backend = nullptr);
  static DynamicQuantizedLSTM from_float(const LSTM& lstm, const Scheme& scheme = {}, const Backend* backend = nullptr);

  void forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const;
  LSTMResult forward(const Tensor& x, const LSTMState* state = nullptr, std::span<const std::int64_t> lengths = {}) const;

  const LSTMConfig& config() const noexcept;
  const Scheme& scheme() const noexcept;
  std::vector<LSTMCell<QuantizedWeight>> cells() const;
  const Backend& backend() const noexcept;

 private:
  std::shared_ptr<const detail::LstmCore> core_;
};

/// y = weight[index], as torch.nn.Embedding.
class Embedding {
 public:
  explicit Embedding(ConstTensorView weight);  ///< [num_embeddings, embedding_dim], copied

  /// x [...] -> y [..., embedding_dim]. Throws Error (invalid_argument) for an index outside 0..num_embeddings-1.
  void forward(IndexView x, TensorView y) const;

  std::int64_t num_embeddings() const noexcept;
  std::int64_t embedding_dim() const noexcept;
  Tensor weight() const;

 private:
  std::shared_ptr<const detail::EmbeddingCore> core_;
};

/// Embedding with int8 rows, one scale a row: y = scale * q.
class QuantizedEmbedding {
 public:
  explicit QuantizedEmbedding(const QuantizedWeight& weight);
  static QuantizedEmbedding from_float(const Embedding& embedding);

  void forward(IndexView x, TensorView y) const;

  std::int64_t num_embeddings() const noexcept;
  std::int64_t embedding_dim() const noexcept;
  QuantizedWeight weight() const;

 private:
  std::shared_ptr<const detail::EmbeddingCore> core_;
};

/// y = max(0, x); NaN stays NaN.
struct ReLU {
  void forward(ConstTensorView x, TensorView y) const;  ///< y may be x
};

/// [D0, D1, ...] -> [D0, D1 * ...]: the notebook's view(out.size(0), -1).
struct Flatten {
  Shape output_shape(const Shape& x) const;
};

}  // namespace bytegate
