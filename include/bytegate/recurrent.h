// The recurrent layers: LSTM, GRU and RNN, and LSTMCell, GRUCell and RNNCell, one step each. What layers.h says of all
// layers holds for them.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class RecurrentCore;
struct RecurrentKind;
}  // namespace detail

/// The function of a GRU's candidate n, or of a plain recurrent layer.
enum class Nonlinearity { tanh, relu };

/// The options of torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN and their cells. Their dropout has no effect on inference
/// and is not kept. A cell has one layer and one direction. Options that a layer does not have keep their defaults.
struct RecurrentConfig {
  std::int64_t input_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  bool bidirectional = false;
  std::int64_t proj_size = 0;                      ///< LSTM
  Nonlinearity nonlinearity = Nonlinearity::tanh;  ///< not of an LSTM; PyTorch's GRU has tanh
  /// GRU: whether the reset gate multiplies the recurrent product, as PyTorch has it (ONNX's linear_before_reset 1,
  /// Keras's reset_after), or h before that product (ONNX's default).
  bool reset_after = true;

  std::int64_t directions() const noexcept { return bidirectional ? 2 : 1; }
  std::int64_t output_size() const noexcept { return proj_size > 0 ? proj_size : hidden_size; }  ///< of one direction
  std::int64_t layer_input_size(std::int64_t layer) const noexcept {
    return layer == 0 ? input_size : output_size() * directions();
  }
  bool operator==(const RecurrentConfig&) const = default;
};
using LSTMConfig = RecurrentConfig;
using GRUConfig = RecurrentConfig;
using RNNConfig = RecurrentConfig;

/// Throws Error (invalid_argument) unless sizes are 1 to 65,536 and proj_size is 0 or below hidden_size.
void validate(const RecurrentConfig& config);

/// PyTorch's suffix of the names of the tensors of a layer and direction: "_l0", "_l0_reverse", "_l1", ...
std::string lstm_suffix(std::int64_t layer, bool reverse);

/// The weights of one layer and direction, or of a cell, under PyTorch's names. All matrices are float32, or all are
/// int8. There are `gates` rows for each hidden unit, gate by gate: 4 of an LSTM (i, f, g, o), 3 of a GRU (r, z, n), 1
/// of an RNN.
struct RecurrentWeights {
  Weight weight_ih;  ///< [gates * hidden_size, layer input size]
  Weight weight_hh;  ///< [gates * hidden_size, output size]
  Tensor bias_ih;    ///< [gates * hidden_size]; empty if the layer has no biases
  Tensor bias_hh;    ///< [gates * hidden_size]
  Weight weight_hr;  ///< [proj_size, hidden_size]; empty without a projection
};

/// The state of every layer and direction, PyTorch's h_n and c_n. A cell's has no first dimension.
struct RecurrentState {
  Tensor h;  ///< [num_layers * directions, B, output size], without B for unbatched input
  Tensor c;  ///< [num_layers * directions, B, hidden_size], of an LSTM; empty for another layer
};
using LSTMState = RecurrentState;

/// The optional parts of a call. Views may be null. hn may be h0 and cn may be c0. c0 and cn are an LSTM's; another
/// layer throws Error (invalid_argument) for one that is not null.
struct RecurrentArgs {
  ConstTensorView h0;  ///< null: zeros
  ConstTensorView c0;
  TensorView hn;  ///< null: not wanted
  TensorView cn;
  std::span<const std::int64_t> lengths;  ///< [B] steps of each sequence, 1..T, in any order; empty: all T
};
using LSTMArgs = RecurrentArgs;

struct RecurrentResult {
  Tensor output;
  RecurrentState state;
};
using LSTMResult = RecurrentResult;

/// What all recurrent layers share. With int8 weights (weight_hr too), activations are quantized on the fly; gates and
/// state are float32. Under the per_row scheme a step at a time computes the bits of the whole sequence, and a batch
/// those of its rows alone.
class RecurrentLayer : public Layer {
 public:
  /// x [T, B, input_size] ([B, T, input_size] if batch_first), or unbatched [T, input_size] -> y with directions *
  /// output size in place of input_size. Steps of y past a sequence's length are zeros. A cell: x [B, input_size] or
  /// [input_size] -> y [B, hidden_size] or [hidden_size], the new h.
  void forward(ConstTensorView x, TensorView y, const RecurrentArgs& args, Workspace& workspace) const;
  RecurrentResult forward(const Tensor& x, const RecurrentState* state = nullptr,
                          std::span<const std::int64_t> lengths = {}) const;

  const RecurrentConfig& config() const noexcept;
  bool quantized() const noexcept;
  const std::optional<Scheme>& scheme() const noexcept;  ///< of an int8 layer
  std::vector<RecurrentWeights> cells() const;           ///< copies; of a cell, one
  const Backend& backend() const noexcept;

  std::int64_t input_size() const noexcept override { return config().input_size; }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  /// `state`: h, and c of an LSTM.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
               std::span<const std::int64_t> lengths) const override;
  std::vector<Shape> state_shapes(const Shape& x) const override;
  void describe(LayerVisitor& visitor) const override;
  LayerPtr quantize_dynamic(const Scheme& scheme, const Backend* backend) const override;

 protected:
  using Core = std::shared_ptr<const detail::RecurrentCore>;
  RecurrentLayer(const detail::RecurrentKind& kind, const RecurrentConfig& config,
                 const std::vector<RecurrentWeights>& cells, const std::optional<Scheme>& scheme,
                 const Backend* backend);
  explicit RecurrentLayer(Core core) noexcept : core_(std::move(core)) {}
  ~RecurrentLayer() override = default;
  RecurrentLayer(const RecurrentLayer&) = default;
  RecurrentLayer(RecurrentLayer&&) = default;
  RecurrentLayer& operator=(const RecurrentLayer&) = default;
  RecurrentLayer& operator=(RecurrentLayer&&) = default;

  /// That of the int8 form of a float32 layer.
  Core quantized_core(const Scheme& scheme, const Backend* backend) const;

 private:
  Core core_;
};

// Each layer is float32 or int8, as the weights are; they are copied. `scheme` says how activations of an int8 layer
// are quantized. Layers take the weights layer by layer, forward before reverse. from_float makes the int8 layer of a
// float32 one; a null backend means that of the float one.

/// torch.nn.LSTM.
class LSTM final : public RecurrentLayer {
 public:
  LSTM(const LSTMConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend = nullptr);
  LSTM(const LSTMConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
       const Backend* backend = nullptr);
  explicit LSTM(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static LSTM from_float(const LSTM& lstm, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

/// torch.nn.GRU, and with reset_after = false or another nonlinearity the forms of ONNX and Keras.
class GRU final : public RecurrentLayer {
 public:
  GRU(const GRUConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend = nullptr);
  GRU(const GRUConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
      const Backend* backend = nullptr);
  explicit GRU(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static GRU from_float(const GRU& gru, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

/// torch.nn.RNN. In PyTorch's printed form its nonlinearity is left out.
class RNN final : public RecurrentLayer {
 public:
  RNN(const RNNConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend = nullptr);
  RNN(const RNNConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
      const Backend* backend = nullptr);
  explicit RNN(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static RNN from_float(const RNN& rnn, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

/// torch.nn.LSTMCell: one step of an LSTM. In a Sequential its output is the new h, and its state h and c.
class LSTMCell final : public RecurrentLayer {
 public:
  LSTMCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend = nullptr);
  LSTMCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
           const Backend* backend = nullptr);
  explicit LSTMCell(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static LSTMCell from_float(const LSTMCell& cell, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

/// torch.nn.GRUCell: one step of a GRU.
class GRUCell final : public RecurrentLayer {
 public:
  GRUCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend = nullptr);
  GRUCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
          const Backend* backend = nullptr);
  explicit GRUCell(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static GRUCell from_float(const GRUCell& cell, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

/// torch.nn.RNNCell: one step of an RNN.
class RNNCell final : public RecurrentLayer {
 public:
  RNNCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend = nullptr);
  RNNCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
          const Backend* backend = nullptr);
  explicit RNNCell(Core core) noexcept : RecurrentLayer(std::move(core)) {}
  static RNNCell from_float(const RNNCell& cell, const Scheme& scheme = {}, const Backend* backend = nullptr);
};

}  // namespace bytegate
#pragma GCC visibility pop
