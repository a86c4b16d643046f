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

  /// A size, a flag, a word, a number or a list of integers.
  using Value = std::variant<std::int64_t, bool, std::string, double, std::vector<std::int64_t>>;

  std::string_view name;
  Value value;
  Print print = Print::never;
  bool is_default = false;      ///< whether a layer is made with this value where an architecture does not state it
  bool in_architecture = true;  ///< whether a layer is made from it

  /// Whether the value is a word, which JSON puts in quotes; to_string writes any other as JSON does.
  bool is_word() const noexcept { return std::holds_alternative<std::string>(value); }
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

  /// The shape of an input of that many sequences and steps, for a layer whose layout input_size does not tell; without
  /// dimensions for others.
  virtual Shape sample_shape(std::int64_t /*batch*/, std::int64_t /*steps*/) const { return {}; }

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

  /// Whether the layer applies one function to every element, whatever the shape. Sequential then calls `apply` on the
  /// output of the layer before it and not `forward`. Such a layer has no state.
  virtual bool elementwise() const noexcept { return false; }
  /// y[i] = f(x[i]) for i < n, for an elementwise layer; y may be x. It is called in the floating-point environment of
  /// a forward, from any of its threads. The base's function does nothing.
  virtual void apply(const float* x, float* y, std::size_t n) const noexcept;
  /// forward, and then the elementwise layer `next` on all of y, with the bits of the two calls. A layer may override
  /// it to apply `next` to a part of y while that is in the cache.
  virtual void forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                            std::span<const std::int64_t> lengths, const Layer& next) const;
};

/// A field's value as text: "64", "1e-05", "[0, 2, 1]", a word without quotes, "true".
std::string to_string(const LayerField& field);

using LayerPtr = std::shared_ptr<const Layer>;

/// The layer as PyTorch prints it: "LSTM(80, 256, num_layers=2)".
std::string to_string(const Layer& layer);

/// y = scale * x + shift for each channel.
struct ChannelAffine {
  std::vector<double> scale;
  std::vector<double> shift;
};

/// What a file says of one layer: the fields of its architecture, where it has one, and the tensors of its module.
/// Names of tensors are those within the module: "weight_ih_l0". Each function throws Error (bad_file) if the file says
/// something that cannot be.
class LayerSource {
 public:
  virtual ~LayerSource() = default;

  /// Whether the architecture states the field.
  virtual bool states(const char* field) const = 0;
  /// A size that the architecture states or else a tensor of `rank` dimensions tells: of a matrix its rows (dimension
  /// 0) or columns (1). In a file of the library's own format it must be stated.
  virtual std::int64_t size(const char* field, const std::string& tensor, std::size_t dimension,
                            std::size_t rank = 2) = 0;
  /// A size that the architecture states. If it does not: the default in a file of the library's own format, else what
  /// the tensors show.
  virtual std::int64_t size(const char* field, std::int64_t by_default, std::int64_t shown) = 0;
  /// The same for a flag that is true if a tensor is there. It cannot be false beside that tensor.
  virtual bool flag(const char* field, bool by_default, const std::string& tensor) = 0;
  /// A flag of which tensors show nothing.
  virtual bool flag(const char* field, bool by_default) = 0;
  /// The index of the word that the architecture states; 0, the default, if it states none.
  virtual std::size_t choice(const char* field, std::span<const std::string_view> accepted) = 0;
  /// A finite number of which tensors show nothing.
  virtual double number(const char* field, double by_default) = 0;
  /// A list of integers of 0 or more, which must be stated.
  virtual std::vector<std::int64_t> list(const char* field) = 0;
  /// Accepts a field that has no effect on inference.
  virtual void ignore(const char* field) = 0;

  /// Whether a layer behind this one is folded into it (LayerKind::fold).
  virtual bool has_fold() const = 0;

  virtual bool has(const std::string& tensor) const = 0;
  /// Accepts a tensor that has no effect on inference.
  virtual void ignore_tensor(const std::string& tensor) = 0;
  /// Rows and columns of a tensor that must be there and be a matrix; each is below 2^30.
  virtual std::array<std::int64_t, 2> matrix(const std::string& tensor) const = 0;
  /// A matrix of that shape, float or int8 as the file has it. LayerKind::outline is passed a source that checks shapes
  /// and types and reads nothing: its weights and tensors are empty.
  Weight weight(const std::string& tensor, std::int64_t rows, std::int64_t cols) {
    return weight(tensor, Shape{rows, cols});
  }
  /// The same for a tensor of that shape, as a matrix of shape[0] rows.
  virtual Weight weight(const std::string& tensor, const Shape& shape) = 0;
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
  LayerPtr (*make)(LayerSource& source);  ///< null for a kind that does nothing at inference, or is folded

  /// How layers of the kind are recognized in a state dict without an architecture; null: they are not. It throws Error
  /// (bad_file) for tensors that are not those of such a layer.
  LayerOutline (*outline)(LayerSource& source) = nullptr;
  std::string_view mark{};  ///< a tensor that every layer of the kind has
  /// Part of the names of such layers, in lower case, for a kind whose tensors look like those of a more common one.
  std::string_view name_hint{};

  /// Whether a layer of another kind can be folded into one of this: rows of its matrix `weight` are channels of the
  /// output, and it may have a `bias`.
  bool takes_fold = false;
  /// For a kind that is never made, but folded into the float weights of the layer before it while a file is read.
  ChannelAffine (*fold)(LayerSource& source) = nullptr;
};

/// All kinds that the library has.
std::span<const LayerKind> layer_kinds() noexcept;
/// The kind of that name; null if there is none.
const LayerKind* find_layer_kind(std::string_view name) noexcept;

}  // namespace bytegate
#pragma GCC visibility pop
