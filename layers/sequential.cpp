#include <bytegate/model.h>

#include <algorithm>
#include <ostream>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/workspace_impl.h"

namespace bytegate {

namespace {

/// Bytes of a layer's weights.
class WeightBytes final : public LayerVisitor {
 public:
  void weight(const std::string&, const Weight& weight) override {
    const auto elements = static_cast<std::size_t>(weight.rows() * weight.cols());
    count += elements * (weight.quantized() ? sizeof(std::int8_t) : sizeof(float));
  }
  std::size_t count = 0;
};

}  // namespace

void Sequential::add(std::string name, LayerPtr layer) {
  const auto refuse = [&](const char* why) {
    detail::throw_error(ErrorCode::invalid_argument, {"Sequential: the layer '", name, "' ", why});
  };
  if (!layer) refuse("is null");
  if (name.empty()) refuse("needs a name");
  if (std::ranges::count(layers_, name, &NamedLayer::name) != 0) refuse("has the name of a layer before it");
  if (layer->takes_indices() && !layers_.empty()) refuse("takes indices and can only come first");
  WeightBytes bytes;
  if (!layer->takes_indices()) layer->describe(bytes);  // of an embedding a call reads some rows
  layers_.push_back({std::move(name), std::move(layer)});
  weight_bytes_ += bytes.count;
}

Shape Sequential::output_shape(const Shape& x) const {
  Shape shape = x;
  for (const auto& [name, layer] : layers_) {
    try {
      shape = layer->output_shape(shape);
    } catch (const Error& e) {
      detail::throw_error(e.code(), {"layer '", name, "': ", e.what()});
    }
  }
  return shape;
}

ModelState Sequential::zero_state(const Shape& x) const {
  output_shape(x);  // its error names the layer that does not accept the input
  ModelState state;
  Shape shape = x;
  for (const auto& [name, layer] : layers_) {
    LayerState& tensors = state.layers.emplace_back();
    for (const Shape& of_tensor : layer->state_shapes(shape)) tensors.emplace_back(of_tensor);
    shape = layer->output_shape(shape);
  }
  return state;
}

namespace {

/// Tells the layers of a model while it runs how many bytes of weights they have together.
class ModelBytes {
 public:
  ModelBytes(detail::WorkspaceImpl& workspace, std::size_t bytes)
      : workspace_(workspace), before_(workspace.model_bytes()) {
    workspace.set_model_bytes(bytes);
  }
  ~ModelBytes() { workspace_.set_model_bytes(before_); }
  ModelBytes(const ModelBytes&) = delete;
  ModelBytes& operator=(const ModelBytes&) = delete;

 private:
  detail::WorkspaceImpl& workspace_;
  std::size_t before_;
};

/// The two buffers that hold the outputs of a model's layers in turn.
class OutputBuffers {
 public:
  explicit OutputBuffers(Workspace& workspace) : workspace_(workspace) {}
  TensorView next(const Shape& shape) {
    second_ = !second_;
    const auto slot = second_ ? detail::Slot::activation_b : detail::Slot::activation_a;
    return {workspace_.impl().get<float>(slot, shape.elements()), shape};
  }

 private:
  Workspace& workspace_;
  bool second_ = false;
};

/// The lengths of a batch of sequences from layer to layer.
class Lengths {
 public:
  Lengths(std::span<const std::int64_t> lengths, Workspace& workspace) : now_(lengths) {
    if (lengths.empty()) return;
    own_ = workspace.impl().get<std::int64_t>(detail::Slot::lengths, lengths.size());
  }
  std::span<const std::int64_t> now() const { return now_; }
  void pass(const Layer& layer) {
    for (std::size_t i = 0; i < now_.size(); ++i) own_[i] = layer.output_steps(now_[i]);
    now_ = {own_, now_.size()};
  }

 private:
  std::span<const std::int64_t> now_;
  std::int64_t* own_ = nullptr;
};

/// One layer and the elementwise layers behind it, which work on its output in place.
class Step {
 public:
  Step(const std::vector<NamedLayer>& layers, std::size_t first, ModelState* state)
      : layers_(layers),
        first_(first),
        end_(first + 1),
        state_(state && !state->layers[first].empty() ? &state->layers[first] : nullptr) {
    while (end_ < layers.size() && layers[end_].layer->elementwise()) ++end_;
  }

  std::size_t end() const noexcept { return end_; }
  bool is_last() const noexcept { return end_ == layers_.size(); }

  void run(ConstTensorView x, TensorView y, Workspace& workspace, Lengths& lengths) const {
    if (end_ == first_ + 1) {
      layer().forward(x, y, workspace, state_, lengths.now());
    } else {
      layer().forward_then(x, y, workspace, state_, lengths.now(), *layers_[first_ + 1].layer);
      apply_from(first_ + 2, y);
    }
    lengths.pass(layer());
  }
  void run(IndexView x, TensorView y, Workspace& workspace, Lengths& lengths) const {
    layer().forward(x, y, workspace, state_);
    apply_from(first_ + 1, y);
    lengths.pass(layer());
  }

 private:
  const Layer& layer() const noexcept { return *layers_[first_].layer; }
  void apply_from(std::size_t i, TensorView y) const {
    for (; i < end_; ++i) layers_[i].layer->apply(y.data, y.data, y.shape.elements());
  }

  const std::vector<NamedLayer>& layers_;
  std::size_t first_, end_;
  LayerState* state_;
};

/// Runs the layers; the first takes `x`, of either kind.
template <class View>
void run(const std::vector<NamedLayer>& layers, View input, TensorView y, Workspace& workspace, ModelState* state,
         std::span<const std::int64_t> given_lengths) {
  OutputBuffers buffers(workspace);
  Lengths lengths(given_lengths, workspace);
  const auto output = [&](const Step& step, const Shape& shape) { return step.is_last() ? y : buffers.next(shape); };
  const Step first(layers, 0, state);
  const TensorView begin = output(first, layers[0].layer->output_shape(input.shape));
  first.run(input, begin, workspace, lengths);
  ConstTensorView x = begin;
  for (std::size_t i = first.end(); i < layers.size();) {
    const Layer& layer = *layers[i].layer;
    const Shape shape = layer.output_shape(x.shape);
    if (i + 1 < layers.size() && layer.only_reshapes()) {
      x.shape = shape;
      lengths.pass(layer);
      ++i;
      continue;
    }
    const Step step(layers, i, state);
    const TensorView out = output(step, shape);
    step.run(x, out, workspace, lengths);
    x = out;
    i = step.end();
  }
}

}  // namespace

void Sequential::prepare(const Shape& x, ConstTensorView y, bool indices, ModelState* state) const {
  if (indices != takes_indices()) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {indices ? "this model does not begin with an Embedding and takes floats, not indices"
                                 : "this model begins with an Embedding and takes indices, not floats"});
  }
  const Shape expected = output_shape(x);
  if (!(y.shape == expected)) detail::check_shape(false, "the model's output", y.shape, expected);
  detail::check_data(y.data, "the model's output", y.shape);
  if (!state || state->layers.size() == layers_.size()) return;
  if (!state->layers.empty()) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"the state of ", state->layers.size(), " layers for a model that has ", layers_.size()});
  }
  *state = zero_state(x);
}

void Sequential::forward(ConstTensorView x, TensorView y, Workspace& workspace, ModelState* state,
                         std::span<const std::int64_t> lengths) const {
  prepare(x.shape, y, false, state);
  detail::check_data(x.data, "the model's input", x.shape);
  const detail::FloatEnvironment environment;  // once for all layers
  if (layers_.empty()) {
    std::copy_n(x.data, x.shape.elements(), y.data);
    return;
  }
  const ModelBytes bytes(workspace.impl(), weight_bytes_);
  run(layers_, x, y, workspace, state, lengths);
}

void Sequential::forward(IndexView x, TensorView y, Workspace& workspace, ModelState* state,
                         std::span<const std::int64_t> lengths) const {
  prepare(x.shape, y, true, state);
  const detail::FloatEnvironment environment;
  const ModelBytes bytes(workspace.impl(), weight_bytes_);
  run(layers_, x, y, workspace, state, lengths);
}

Tensor Sequential::forward(const Tensor& x) const {
  Workspace workspace;
  Tensor y(output_shape(x.shape));
  forward(x.view(), y.view(), workspace);
  return y;
}

std::string to_string(const Sequential& model) {
  std::string out = detail::join_text({model.name(), "("});
  for (const auto& [name, layer] : model.layers()) detail::append_text(out, {"\n  (", name, "): ", to_string(*layer)});
  return detail::join_text({out, model.layers().empty() ? ")" : "\n)"});
}

std::ostream& operator<<(std::ostream& out, const Sequential& model) { return out << to_string(model); }

}  // namespace bytegate
