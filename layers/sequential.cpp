#include <bytegate/model.h>

#include <algorithm>
#include <cstring>

#include "layers/staging.h"
#include "layers/workspace_impl.h"

namespace bytegate {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

bool is_embedding(const Layer& layer) {
  return std::holds_alternative<Embedding>(layer) || std::holds_alternative<QuantizedEmbedding>(layer);
}

Shape embedded(const Shape& x, std::int64_t dim) {
  std::array<std::int64_t, Shape::kMaxRank + 1> dims{};
  std::ranges::copy(x.dims(), dims.begin());
  dims[x.rank()] = dim;
  return Shape(std::span<const std::int64_t>(dims.data(), x.rank() + 1));
}

Shape linear_shape(const Shape& x, std::int64_t in, std::int64_t out) {
  if (x.rank() == 0 || x.back() != in) {
    detail::check_shape(false, "Linear: the input", x, ("[..., " + std::to_string(in) + "]").c_str());
  }
  return x.with_back(out);
}

Shape lstm_shape(const Shape& x, const LSTMConfig& config) {
  if ((x.rank() != 2 && x.rank() != 3) || x.back() != config.input_size) {
    detail::check_shape(false, "LSTM: the input", x, ("two or three dimensions, the last " + std::to_string(config.input_size)).c_str());
  }
  return x.with_back(config.directions() * config.output_size());
}

Shape layer_output(const Layer& layer, const Shape& x) {
  return std::visit(Overloaded{
                        [&](const Linear& l) { return linear_shape(x, l.in_features(), l.out_features()); },
                        [&](const DynamicQuantizedLinear& l) { return linear_shape(x, l.in_features(), l.out_features()); },
                        [&](const LSTM& l) { return lstm_shape(x, l.config()); },
                        [&](const DynamicQuantizedLSTM& l) { return lstm_shape(x, l.config()); },
                        [&](const Embedding& l) { return embedded(x, l.embedding_dim()); },
                        [&](const QuantizedEmbedding& l) { return embedded(x, l.embedding_dim()); },
                        [&](const ReLU&) { return x; },
                        [&](const Flatten& l) { return l.output_shape(x); },
                    },
                    layer);
}

const LSTMConfig* lstm_config(const Layer& layer) {
  if (const auto* l = std::get_if<LSTM>(&layer)) return &l->config();
  if (const auto* l = std::get_if<DynamicQuantizedLSTM>(&layer)) return &l->config();
  return nullptr;
}

/// Sets an empty state to zeros for inputs like x, the input of the model's first layer.
void prepare_state(const std::vector<std::pair<std::string, Layer>>& layers, Shape x, ModelState& state) {
  std::size_t count = 0;
  for (const auto& [name, layer] : layers) count += lstm_config(layer) != nullptr;
  if (state.lstm.size() == count) return;
  if (!state.lstm.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "the state of " + std::to_string(state.lstm.size()) + " LSTM layers for a model that has " + std::to_string(count));
  }
  for (const auto& [name, layer] : layers) {
    if (const LSTMConfig* config = lstm_config(layer)) {
      const std::int64_t states = config->num_layers * config->directions();
      const auto shape = [&](std::int64_t size) {
        return x.rank() == 2 ? Shape{states, size} : Shape{states, x[config->batch_first ? 0 : 1], size};
      };
      state.lstm.push_back({Tensor(shape(config->output_size())), Tensor(shape(config->hidden_size))});
    }
    x = layer_output(layer, x);
  }
}

/// Runs `layers` on floats; x and y may not overlap.
void run(std::span<const std::pair<std::string, Layer>> layers, ConstTensorView x, TensorView y, Workspace& workspace, ModelState* state) {
  std::size_t lstm = 0;
  bool second = false;
  const auto buffer = [&](const Shape& shape) {
    second = !second;
    const auto slot = second ? detail::Slot::activation_b : detail::Slot::activation_a;
    return TensorView{workspace.impl().get<float>(slot, shape.elements()), shape};
  };
  const auto run_lstm = [&](const auto& layer, TensorView out) {
    LSTMArgs args;
    if (state) {
      LSTMState& s = state->lstm[lstm++];
      args = {s.h.view(), s.c.view(), s.h.view(), s.c.view(), {}};
    }
    layer.forward(x, out, args, workspace);
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i].second;
    const Shape shape = layer_output(layer, x.shape);
    const bool last = i + 1 == layers.size();
    if (!last && std::holds_alternative<Flatten>(layer)) {
      x.shape = shape;
      continue;
    }
    const TensorView out = last ? y : buffer(shape);
    std::visit(Overloaded{
                   [&](const Linear& l) { l.forward(x, out, workspace); },
                   [&](const DynamicQuantizedLinear& l) { l.forward(x, out, workspace); },
                   [&](const LSTM& l) { run_lstm(l, out); },
                   [&](const DynamicQuantizedLSTM& l) { run_lstm(l, out); },
                   [&](const ReLU& l) { l.forward(x, out); },
                   [&](const Flatten&) { std::copy_n(x.data, x.shape.elements(), out.data); },
                   [](const auto&) {},  // an embedding: only ever first, and taken by the caller
               },
               layer);
    x = out;
  }
  if (layers.empty()) std::copy_n(x.data, x.shape.elements(), y.data);
}

}  // namespace

void Sequential::add(std::string name, Layer layer) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "Sequential: the layer '" + name + "' " + why);
  };
  if (name.empty() || name.find('.') != std::string::npos) refuse("needs a name that is not empty and has no '.'");
  for (const auto& [other, unused] : layers_) {
    if (other == name) refuse("has the name of a layer before it");
  }
  if (is_embedding(layer) && !layers_.empty()) refuse("is an Embedding and can only come first");
  layers_.emplace_back(std::move(name), std::move(layer));
}

Shape Sequential::output_shape(const Shape& x) const {
  Shape shape = x;
  for (const auto& [name, layer] : layers_) {
    try {
      shape = layer_output(layer, shape);
    } catch (const Error& e) {
      throw Error(e.code(), "layer '" + name + "': " + e.what());
    }
  }
  return shape;
}

void Sequential::forward(ConstTensorView x, TensorView y, Workspace& workspace, ModelState* state) const {
  if (!layers_.empty() && is_embedding(layers_.front().second)) {
    throw Error(ErrorCode::invalid_argument, "this model begins with an Embedding and takes indices, not floats");
  }
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) detail::check_shape(false, "the model's output", y.shape, to_string(expected).c_str());
  detail::check_data(x.data, "the model's input", x.shape);
  detail::check_data(y.data, "the model's output", y.shape);
  if (state) prepare_state(layers_, x.shape, *state);
  run(layers_, x, y, workspace, state);
}

void Sequential::forward(IndexView x, TensorView y, Workspace& workspace, ModelState* state) const {
  if (layers_.empty() || !is_embedding(layers_.front().second)) {
    throw Error(ErrorCode::invalid_argument, "this model does not begin with an Embedding and takes floats, not indices");
  }
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) detail::check_shape(false, "the model's output", y.shape, to_string(expected).c_str());
  const Layer& first = layers_.front().second;
  const auto embed = [&](TensorView out) {
    if (const auto* l = std::get_if<Embedding>(&first)) return l->forward(x, out);
    std::get<QuantizedEmbedding>(first).forward(x, out);
  };
  if (layers_.size() == 1) return embed(y);
  const Shape shape = layer_output(first, x.shape);
  const TensorView embedding{workspace.impl().get<float>(detail::Slot::activation_a, shape.elements()), shape};
  embed(embedding);
  if (state) prepare_state(layers_, x.shape, *state);
  run(std::span(layers_).subspan(1), embedding, y, workspace, state);
}

Tensor Sequential::forward(const Tensor& x) const {
  Workspace workspace;
  Tensor y(output_shape(x.shape));
  forward(x.view(), y.view(), workspace);
  return y;
}

}  // namespace bytegate
