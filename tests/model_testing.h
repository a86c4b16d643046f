// Small models with random weights, and their outputs.
#pragma once

#include <bytegate/model.h>

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random.h"

namespace bytegate::testing {

/// Uniform in -1..1; every call continues the same sequence.
inline Tensor random_tensor(std::initializer_list<std::int64_t> shape) {
  static std::mt19937 generator(1);
  Tensor tensor{Shape(shape)};
  for (float& value : tensor.data) value = static_cast<float>(static_cast<double>(generator()) / 2147483648.0 - 1.0);
  return tensor;
}

inline Linear random_linear(std::int64_t in, std::int64_t out, bool bias, bool relu = false) {
  const Tensor weight = random_tensor({out, in}), b = random_tensor({out});
  return Linear(weight.view(), bias ? b.view() : ConstTensorView{}, relu);
}

inline LSTM random_lstm(const LSTMConfig& config) {
  std::vector<RecurrentWeights> cells;
  for (std::int64_t i = 0; i < config.num_layers * config.directions(); ++i) {
    const std::int64_t layer = i / config.directions(), gates = 4 * config.hidden_size;
    FloatCell cell;
    cell.weight_ih = random_tensor({gates, config.layer_input_size(layer)});
    cell.weight_hh = random_tensor({gates, config.output_size()});
    if (config.bias) cell.bias_ih = random_tensor({gates});
    if (config.bias) cell.bias_hh = random_tensor({gates});
    if (config.proj_size > 0) cell.weight_hr = random_tensor({config.proj_size, config.hidden_size});
    cells.push_back(std::move(cell));
  }
  return LSTM(config, cells);
}

inline QuantizeOptions quantize_options(const Scheme& scheme, std::vector<std::string> kinds = {},
                                        std::vector<std::string> exclude = {}) {
  QuantizeOptions options;
  options.scheme = scheme;
  options.kinds = std::move(kinds);
  options.exclude = std::move(exclude);
  return options;
}

/// The model's output for one fixed input [4, batch, width] or indices [4, 1]; nothing for a model of no layers.
inline std::vector<float> run_model(const Sequential& model, std::int64_t batch = 2) {
  if (model.layers().empty()) return {};
  const LayerPtr& first = model.layers().front().layer;
  constexpr std::int64_t kSteps = 4;
  if (model.takes_indices()) {
    const std::vector<std::int64_t> indices = {3, 0, 2, 1};
    Tensor y(model.output_shape(Shape{kSteps, 1}));
    Workspace workspace;
    model.forward(IndexView{indices.data(), Shape{kSteps, 1}}, y.view(), workspace);
    return y.data;
  }
  std::int64_t width = 0;
  if (is<Linear>(first)) width = as<Linear>(first).in_features();
  if (is<LSTM>(first)) width = as<LSTM>(first).config().input_size;
  Tensor x(Shape{kSteps, batch, width});
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(i % 7) / 4.0f - 0.7f;
  return model.forward(x).data;
}

}  // namespace bytegate::testing
