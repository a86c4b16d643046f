#include "layers/lstm_core.h"

#include <algorithm>

namespace bytegate {

void check(const LSTMConfig& c) {
  const auto require = [](bool ok, const std::string& what) {
    if (!ok) throw Error(ErrorCode::invalid_argument, "LSTM: " + what);
  };
  require(c.input_size >= 1, "input_size is " + std::to_string(c.input_size) + ", expected 1 or more");
  require(c.hidden_size >= 1, "hidden_size is " + std::to_string(c.hidden_size) + ", expected 1 or more");
  require(c.num_layers >= 1, "num_layers is " + std::to_string(c.num_layers) + ", expected 1 or more");
  require(c.proj_size >= 0 && c.proj_size < c.hidden_size,
          "proj_size is " + std::to_string(c.proj_size) + ", expected 0 (none) to hidden_size - 1");
}

std::string lstm_suffix(std::int64_t layer, bool reverse) { return "_l" + std::to_string(layer) + (reverse ? "_reverse" : ""); }

namespace detail {
namespace {

Shape shape_of(const Tensor& weight) { return weight.shape; }
Shape shape_of(const QuantizedWeight& weight) { return {weight.rows, weight.cols}; }

void check_weight(const Tensor& weight, const std::string& what) {
  check_data(weight.data.empty() ? nullptr : weight.data.data(), what.c_str(), weight.shape);
  if (weight.data.size() == weight.shape.elements()) return;
  throw Error(ErrorCode::shape_mismatch, what + " has " + std::to_string(weight.data.size()) + " values for shape " + to_string(weight.shape));
}
void check_weight(const QuantizedWeight& weight, const std::string& what) { check_quantized(weight, what.c_str()); }

template <class Weight>
void check_matrix(const Weight& weight, const Shape& expected, const std::string& name) {
  const std::string what = "LSTM: " + name;
  check_shape(shape_of(weight) == expected, what.c_str(), shape_of(weight), to_string(expected).c_str());
  check_weight(weight, what);
}

void check_bias(const Tensor& bias, const LSTMConfig& config, bool finite, const std::string& name) {
  const std::string what = "LSTM: " + name;
  const Shape expected = config.bias ? Shape{4 * config.hidden_size} : Shape{0};
  const bool none = !config.bias && bias.data.empty();
  check_shape(none || (bias.shape == expected && bias.data.size() == expected.elements()), what.c_str(), bias.shape, to_string(expected).c_str());
  if (finite) check_finite(bias.data, what.c_str());
}

}  // namespace

template <class Weight>
void LstmCore::pack(const std::vector<LSTMCell<Weight>>& cells) {
  check(config_);
  const std::int64_t directions = config_.directions();
  if (cells.size() != static_cast<std::size_t>(config_.num_layers * directions)) {
    throw Error(ErrorCode::invalid_argument, "LSTM: " + std::to_string(cells.size()) + " cells, expected num_layers * directions = " +
                                                 std::to_string(config_.num_layers * directions));
  }
  const std::int64_t gates = 4 * config_.hidden_size;
  const std::vector<std::int64_t> order = gate_order(config_.hidden_size, kernels_->nr);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const LSTMCell<Weight>& cell = cells[i];
    const auto layer = static_cast<std::int64_t>(i) / directions;
    const std::string suffix = lstm_suffix(layer, static_cast<std::int64_t>(i) % directions == 1);
    check_matrix(cell.weight_ih, {gates, config_.layer_input_size(layer)}, "weight_ih" + suffix);
    check_matrix(cell.weight_hh, {gates, config_.output_size()}, "weight_hh" + suffix);
    if (config_.proj_size > 0) check_matrix(cell.weight_hr, {config_.proj_size, config_.hidden_size}, "weight_hr" + suffix);
    check_bias(cell.bias_ih, config_, scheme_.has_value(), "bias_ih" + suffix);
    check_bias(cell.bias_hh, config_, scheme_.has_value(), "bias_hh" + suffix);

    // PyTorch adds each bias to its product. Otherwise both go with the input product.
    const bool apart = per_tensor(scheme_);
    std::vector<float> bias = cell.bias_ih.data;
    for (std::size_t n = 0; n < bias.size() && !apart; ++n) bias[n] += cell.bias_hh.data[n];
    const auto packed = [&](const Weight& weight, std::span<const float> b, std::span<const std::int64_t> rows) {
      if constexpr (std::is_same_v<Weight, Tensor>) {
        return PackedWeights(*kernels_, weight.view(), b, rows);
      } else {
        return PackedWeights(*kernels_, weight, b, rows, apart);
      }
    };
    const std::span<const float> none;
    cells_.push_back({packed(cell.weight_ih, bias, order), packed(cell.weight_hh, apart ? std::span<const float>(cell.bias_hh.data) : none, order),
                      {}, cell.bias_ih, cell.bias_hh});
    if (config_.proj_size > 0) cells_.back().hr = packed(cell.weight_hr, {}, plain_order(config_.proj_size, kernels_->nr));
  }
}

LstmCore::LstmCore(const LSTMConfig& config, const std::vector<LSTMCell<Tensor>>& cells, const Backend& backend)
    : config_(config), backend_(&backend), kernels_(&backend.kernels->f32) {
  pack(cells);
}

LstmCore::LstmCore(const LSTMConfig& config, const std::vector<LSTMCell<QuantizedWeight>>& cells, const Scheme& scheme,
                   const Backend& backend)
    : config_(config), backend_(&backend), kernels_(&backend.kernels->int8), scheme_(scheme) {
  pack(cells);
}

std::vector<LSTMCell<Tensor>> LstmCore::float_cells() const {
  const auto gates = gate_order(config_.hidden_size, kernels_->nr), plain = plain_order(config_.proj_size, kernels_->nr);
  std::vector<LSTMCell<Tensor>> cells;
  for (const PackedCell& cell : cells_) {
    cells.push_back({cell.ih.unpack_floats(gates), cell.hh.unpack_floats(gates), cell.bias_ih, cell.bias_hh,
                     config_.proj_size > 0 ? cell.hr.unpack_floats(plain) : Tensor()});
  }
  return cells;
}

std::vector<LSTMCell<QuantizedWeight>> LstmCore::quantized_cells() const {
  const auto gates = gate_order(config_.hidden_size, kernels_->nr), plain = plain_order(config_.proj_size, kernels_->nr);
  std::vector<LSTMCell<QuantizedWeight>> cells;
  for (const PackedCell& cell : cells_) {
    cells.push_back({cell.ih.unpack_int8(gates), cell.hh.unpack_int8(gates), cell.bias_ih, cell.bias_hh,
                     config_.proj_size > 0 ? cell.hr.unpack_int8(plain) : QuantizedWeight()});
  }
  return cells;
}

}  // namespace detail
}  // namespace bytegate
