// What every layer is: the interface that Sequential, printing, model files and reports work through. A user's own
// layer derives from it like the library's.
#pragma once

#include <bytegate/backends.h>
#include <bytegate/config.h>
#include <bytegate/error.h>
#include <bytegate/scheme.h>
#include <bytegate/tensor.h>
#include <bytegate/weight.h>
#include <bytegate/workspace.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// One property of a layer under PyTorch's name.
struct LayerField {
  /// How the field appears in a layer's printed form: not at all, as `64`, as `bias=True`, or so unless it is the
  /// default.
  enum class Print { never, value, named, named_unless_default };

  std::string_view name;
  std::variant<std::int64_t, bool, std::string> value;
  Print print = Print::never;
  bool is_default = false;      ///< whether a layer is made with this value where an architecture does not state it
  bool in_architecture = true;  ///< whether a layer is made from it
};

/// Visits the description of one layer. Each function does nothing unless it is overridden.
class LayerVisitor {
 public:
  virtual ~LayerVisitor() = default;
  /// First. `kind` is the layer's name in an architecture ("lstm"), `printed` in its printed form ("LSTM",
  /// "DynamicQuantizedLSTM").
  virtual void begin(std::string_view kind, std::string_view printed);
  virtual void field(const LayerField& field);
  /// The scheme of a layer with int8 weights whose activations are quantized too.
  virtual void scheme(const Scheme& scheme);
  /// A weight matrix under PyTorch's name, which is read only if the visitor does so; valid as long as the layer.
  virtual void weight(const std::string& name, const Weight& weight);
  /// Another tensor, float32.
  virtual void tensor(const std::string& name, const Tensor& tensor);
};

/// The state of one layer between two calls: an LSTM's h and c, a GRU's h. Empty for a layer without state.
using LayerState = std::vector<Tensor>;

/// A layer. It is immutable after construction, and any number of threads may call `forward` at once, each with its own
/// workspace and state.
class Layer {
 public:
  virtual ~Layer() = default;

  /// Whether the input is indices (an Embedding) and not floats.
  virtual bool takes_indices() const noexcept { return false; }

  /// The last dimension that the input must have, or how many indices there are for a layer that takes indices (0 to
  /// this, exclusive); -1 for a layer that accepts any.
  virtual std::int64_t input_size() const noexcept { return -1; }

  /// The shape of the output for an input of that shape. Throws Error (shape_mismatch) for one that is not accepted.
  virtual Shape output_shape(const Shape& x) const = 0;

  /// Computes y, of shape output_shape(x.shape); x and y must not overlap. `state` is null for "start from zeros", or
  /// has the tensors of state_shapes(x.shape), which hold the state before the call and, afterwards, the state behind
  /// it. The base's function throws Error (invalid_argument): the layer takes indices.
  virtual void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const;
  /// The same for a padded batch of sequences of these lengths, 1 to T steps each; empty: all have all steps. What y
  /// has past the end of a sequence is the layer's own affair. The base's function computes all steps, which is right
  /// for a layer whose steps do not depend on each other.
  virtual void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                       std::span<const std::int64_t> lengths) const;
  /// How many steps of output a sequence of `steps` steps has.
  virtual std::int64_t output_steps(std::int64_t steps) const { return steps; }
  /// Computes y from indices; the base's function throws: the layer takes floats.
  virtual void forward(IndexView x, TensorView y, Workspace& workspace, LayerState* state) const;

  /// The shapes of the state for an input of that shape; none for a layer without state.
  virtual std::vector<Shape> state_shapes(const Shape&) const { return {}; }

  /// Tells what the layer is: its kind, fields and tensors.
  virtual void describe(LayerVisitor& visitor) const = 0;

  /// The same layer with int8 weights; null if it cannot be quantized or is quantized already. A null backend means the
  /// layer's own.
  virtual std::shared_ptr<const Layer> quantize_dynamic(const Scheme& scheme, const Backend* backend) const;

  /// Whether the output has the input's elements in the same order, so that only the shape changes.
  virtual bool only_reshapes() const noexcept { return false; }
};

using LayerPtr = std::shared_ptr<const Layer>;

/// The layer as PyTorch prints it: "LSTM(80, 256, num_layers=2)".
std::string to_string(const Layer& layer);

/// What a file says of one layer: the fields of its architecture, where it has one, and the tensors of its module.
/// Names of tensors are those within the module: "weight_ih_l0". Each function throws Error (bad_file) if the file says
/// something that cannot be.
class LayerSource {
 public:
  virtual ~LayerSource() = default;

  /// Whether the architecture states the field.
  virtual bool states(const char* field) const = 0;
  /// A size that the architecture states or else a matrix tells: its rows (dimension 0) or columns (1). In a file of
  /// the library's own format it must be stated.
  virtual std::int64_t size(const char* field, const std::string& tensor, std::size_t dimension) = 0;
  /// A size that the architecture states. If it does not: the default in a file of the library's own format, else what
  /// the tensors show.
  virtual std::int64_t size(const char* field, std::int64_t by_default, std::int64_t shown) = 0;
  /// The same for a flag that is true if a tensor is there. It cannot be false beside that tensor.
  virtual bool flag(const char* field, bool by_default, const std::string& tensor) = 0;
  /// A flag of which tensors show nothing.
  virtual bool flag(const char* field, bool by_default) = 0;
  /// The index of the word that the architecture states; 0, the default, if it states none.
  virtual std::size_t choice(const char* field, std::span<const std::string_view> accepted) = 0;
  /// Accepts a field that has no effect on inference.
  virtual void ignore(const char* field) = 0;

  virtual bool has(const std::string& tensor) const = 0;
  /// Rows and columns of a tensor that must be there and be a matrix; each is below 2^30.
  virtual std::array<std::int64_t, 2> matrix(const std::string& tensor) const = 0;
  /// A matrix of that shape, float or int8 as the file has it. LayerKind::outline is passed a source that checks shapes
  /// and types and reads nothing: its weights and tensors are empty.
  virtual Weight weight(const std::string& tensor, std::int64_t rows, std::int64_t cols) = 0;
  /// Another tensor, float32.
  virtual Tensor floats(const std::string& tensor, const Shape& shape) = 0;
  /// The module's tensors that were not asked for by weight() or floats(). Safe to print. None if an
  /// architecture names the layer's kind.
  virtual std::vector<std::string> others() const = 0;

  /// The scheme of a layer with int8 weights.
  virtual Scheme scheme() = 0;
  virtual const Backend* backend() const = 0;
  /// Throws Error (bad_file): "layer NAME MESSAGE". The message has the layer for its subject: "has 2 biases".
  [[noreturn]] virtual void fail(const std::string& message) const = 0;
  /// The same with a message in parts: `fail({"has ", count, " biases"})`.
  [[noreturn]] void fail(detail::TextParts message) const;
};

/// What the fields and the shapes of the tensors tell of a layer.
struct LayerOutline {
  std::string text;            ///< as to_string has it, for float weights: "LSTM(80, 256)"
  std::int64_t input_size;     ///< Layer::input_size
  std::int64_t output_size;    ///< the last dimension of the output
  bool takes_indices = false;  ///< Layer::takes_indices
};

/// A kind of layer that an architecture can name.
struct LayerKind {
  std::string_view name;   ///< "lstm"
  std::string_view title;  ///< "an LSTM"
  bool has_tensors;
  bool quantized_by_default;              ///< whether quantize_dynamic takes it unless it is told which kinds to take
  bool quantizes_activations;             ///< whether its int8 form has a scheme; else its weights have one scale a row
  LayerPtr (*make)(LayerSource& source);  ///< null for a kind that does nothing at inference

  /// How layers of the kind are recognized in a state dict without an architecture; null: they are not. It throws Error
  /// (bad_file) for tensors that are not those of such a layer.
  LayerOutline (*outline)(LayerSource& source) = nullptr;
  std::string_view mark{};  ///< a tensor that every layer of the kind has
  /// Part of the names of such layers, in lower case, for a kind whose tensors look like those of a more common one.
  std::string_view name_hint{};
};

/// All kinds that the library has.
std::span<const LayerKind> layer_kinds() noexcept;
/// The kind of that name; null if there is none.
const LayerKind* find_layer_kind(std::string_view name) noexcept;

}  // namespace bytegate
#pragma GCC visibility pop
