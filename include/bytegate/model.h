// Sequential models and their dynamic quantization.
#pragma once

#include <bytegate/layers.h>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bytegate {

using Layer = std::variant<Linear, DynamicQuantizedLinear, LSTM, DynamicQuantizedLSTM, Embedding, QuantizedEmbedding, ReLU, Flatten>;

/// The states of a model's LSTM layers, in order; empty before the first call.
struct ModelState {
  std::vector<LSTMState> lstm;
};

/// Named layers in order; an LSTM hands on its output alone. An Embedding can only come first.
class Sequential {
 public:
  explicit Sequential(std::string name = "Sequential") : name_(std::move(name)) {}

  /// Throws Error (invalid_argument) for an empty or repeated name, a '.' in it, or an Embedding that is not first.
  void add(std::string name, Layer layer);

  const std::string& name() const noexcept { return name_; }
  const std::vector<std::pair<std::string, Layer>>& layers() const noexcept { return layers_; }

  /// The shape of the output for an input of that shape. Throws Error (shape_mismatch) naming the layer that refuses it.
  Shape output_shape(const Shape& x) const;

  /// Runs the layers. y must have output_shape(x.shape). With `state`, each LSTM starts from it and leaves its end there (an
  /// empty state is set to zeros first); without, all start from zeros. Allocates nothing after a first call with these shapes.
  /// A model that begins with an Embedding takes indices, any other takes floats: the wrong one is an Error (invalid_argument).
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, ModelState* state = nullptr) const;
  void forward(IndexView x, TensorView y, Workspace& workspace, ModelState* state = nullptr) const;
  Tensor forward(const Tensor& x) const;

 private:
  std::string name_;
  std::vector<std::pair<std::string, Layer>> layers_;
};

/// The model as PyTorch prints one.
std::string to_string(const Sequential& model);
std::string to_string(const Layer& layer);
std::ostream& operator<<(std::ostream& out, const Sequential& model);

/// Layer kinds that quantize_dynamic can quantize, as bits.
enum LayerKind : unsigned { kLinear = 1, kLSTM = 2, kEmbedding = 4 };

struct QuantizeOptions {
  Scheme scheme;
  unsigned kinds = kLinear | kLSTM;  ///< an Embedding is quantized row-wise if kEmbedding is given
  /// Layer names, with * and ? as in a shell. A layer is quantized if its kind is chosen, it matches an include pattern (none: all do)
  /// and no exclude pattern. A pattern that matches no layer is an Error (invalid_argument).
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  const Backend* backend = nullptr;
};

/// A new model with the chosen layers quantized and the others shared; `model` stays as it is.
Sequential quantize_dynamic(const Sequential& model, const QuantizeOptions& options = {});
/// A lone layer. Layers that cannot be quantized (ReLU, Flatten, quantized ones) come back as they are.
Layer quantize_dynamic(const Layer& layer, const QuantizeOptions& options = {});

}  // namespace bytegate
