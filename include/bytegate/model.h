// Sequential models and their dynamic quantization.
#pragma once

#include <bytegate/layers.h>

#include <concepts>
#include <cstddef>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

struct NamedLayer {
  std::string name;
  LayerPtr layer;
};

/// The states of a model's layers, one a layer, empty for a layer without state; none before the first call.
struct ModelState {
  std::vector<LayerState> layers;
};

/// Named layers in order; each takes the output of the one before. A layer that takes indices can only come first.
class Sequential {
 public:
  explicit Sequential(std::string name = "Sequential") : name_(std::move(name)) {}

  /// Throws Error (invalid_argument) for a null layer, an empty or repeated name, or a layer that takes indices and is
  /// not first.
  void add(std::string name, LayerPtr layer);
  /// The same for a layer by value, the library's or a user's own.
  template <std::derived_from<Layer> L>
  void add(std::string name, L layer) {
    add(std::move(name), LayerPtr(std::make_shared<const L>(std::move(layer))));
  }

  const std::string& name() const noexcept { return name_; }
  const std::vector<NamedLayer>& layers() const noexcept { return layers_; }

  /// Whether the model takes indices and not floats.
  bool takes_indices() const noexcept { return !layers_.empty() && layers_.front().layer->takes_indices(); }

  /// The shape of the output for an input of that shape. Throws Error (shape_mismatch) naming the layer that refuses
  /// it.
  Shape output_shape(const Shape& x) const;

  /// The state of zeros for an input of that shape, to fill in another beginning than zeros. Throws Error
  /// (shape_mismatch).
  ModelState zero_state(const Shape& x) const;

  /// Runs the layers. y must have output_shape(x.shape). With `state`, each layer starts from its state and leaves the
  /// new one there (an empty `state` is set to zeros first); without, all start from zeros. Allocates nothing after a
  /// first call with these shapes. Floats for a model that takes indices, or the other way round, are an Error
  /// (invalid_argument).
  ///
  /// `lengths`, if not empty: the steps of each sequence of a padded batch, in any order, as the first layer counts
  /// them. Each layer computes what it computes for these sequences without padding.
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, ModelState* state = nullptr,
               std::span<const std::int64_t> lengths = {}) const;
  void forward(IndexView x, TensorView y, Workspace& workspace, ModelState* state = nullptr,
               std::span<const std::int64_t> lengths = {}) const;
  Tensor forward(const Tensor& x) const;

 private:
  void prepare(const Shape& x, ConstTensorView y, bool indices, ModelState* state) const;

  std::string name_;
  std::vector<NamedLayer> layers_;
  std::size_t weight_bytes_ = 0;  ///< of what all layers read in every call
};

/// The model as PyTorch prints one.
std::string to_string(const Sequential& model);
std::ostream& operator<<(std::ostream& out, const Sequential& model);

struct QuantizeOptions {
  Scheme scheme{};
  /// Kinds of layers to quantize, as in an architecture ("linear", "conv1d", "embedding"). Empty: those for which
  /// LayerKind::quantized_by_default holds, and a user's own layers. An unknown kind is an Error (invalid_argument).
  std::vector<std::string> kinds{};
  /// Layer names, with * and ? as in a shell. A layer is quantized if its kind is chosen, it matches an include pattern
  /// (none: all do) and no exclude pattern. A pattern that matches no layer is an Error (invalid_argument).
  std::vector<std::string> include{};
  std::vector<std::string> exclude{};
  const Backend* backend = nullptr;  ///< null: each layer's own
  /// Threads that quantize_dynamic uses, 1 to 256, a layer on each; layers and errors are the same for any number.
  /// Where a model is quantized while it is read, LoadOptions::num_threads counts alone.
  int num_threads = 1;

  /// Whether a layer of that name and kind is to be quantized.
  bool chooses(const std::string& name, std::string_view kind) const;
  /// Throws Error (invalid_argument) for an unknown kind or a pattern that matches none of the layers.
  void validate(const std::vector<NamedLayer>& layers) const;
};

namespace detail {
/// Calls f(0) to f(count - 1), which make a layer each, on `num_threads` threads (1 to 256, the calling one among
/// them). Throws what the first call in order that failed has thrown; Error (invalid_argument) for another number of
/// threads; std::system_error if a thread cannot be started.
void for_each_layer(std::size_t count, int num_threads, void (*f)(const void* context, std::size_t index),
                    const void* context);
template <class F>
void for_each_layer(std::size_t count, int num_threads, const F& f) {
  for_each_layer(
      count, num_threads, [](const void* context, std::size_t i) { (*static_cast<const F*>(context))(i); }, &f);
}
}  // namespace detail

/// New layers, the chosen ones quantized and the others shared. A user's own layer is quantized on one of several
/// threads if QuantizeOptions::num_threads is more than 1. Throws Error (invalid_argument), std::system_error if a
/// thread cannot be started.
std::vector<NamedLayer> quantize_dynamic(const std::vector<NamedLayer>& layers, const QuantizeOptions& options = {});
/// A new model of such layers; `model` stays as it is.
Sequential quantize_dynamic(const Sequential& model, const QuantizeOptions& options = {});

}  // namespace bytegate
#pragma GCC visibility pop
