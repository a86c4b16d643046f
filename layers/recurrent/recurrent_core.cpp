#include "layers/recurrent/recurrent_core.h"

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"

namespace bytegate {

void validate(const RecurrentConfig& c) {
  const auto require = [](bool ok, const char* name, std::int64_t value, const std::string& accepted) {
    if (ok) return;
    detail::throw_error(ErrorCode::invalid_argument, {"LSTM: ", name, " is ", value, ", expected ", accepted});
  };
  constexpr auto max = static_cast<std::int64_t>(kMaxK);
  const std::string sizes = detail::join_text({"1 to ", max});
  require(c.input_size >= 1 && c.input_size <= max, "input_size", c.input_size, sizes);
  require(c.hidden_size >= 1 && c.hidden_size <= max, "hidden_size", c.hidden_size, sizes);
  require(c.num_layers >= 1 && c.num_layers <= max, "num_layers", c.num_layers, sizes);
  require(c.proj_size >= 0 && c.proj_size < c.hidden_size, "proj_size", c.proj_size, "0 (none) to hidden_size - 1");
}

std::string lstm_suffix(std::int64_t layer, bool reverse) {
  return detail::join_text({"_l", layer, reverse ? "_reverse" : ""});
}

namespace detail {
namespace {

void check_matrix(const Weight& weight, std::int64_t rows, std::int64_t cols, bool quantized, const std::string& what) {
  const Shape shape{weight.rows(), weight.cols()}, expected{rows, cols};
  check_shape(shape == expected, what, shape, expected);
  if (weight.quantized() == quantized) return;
  detail::throw_error(ErrorCode::invalid_argument, {what, " is ", quantized ? "float32" : "int8",
                                                    ", unlike weight_ih_l0; all matrices are of one type"});
}

void check_bias(const Tensor& bias, std::int64_t size, bool wanted, bool finite, const std::string& what) {
  const Shape expected = wanted ? Shape{size} : Shape{0};
  if (!wanted && bias.data.empty()) return;
  check_shape(bias.shape == expected && bias.data.size() == expected.elements(), what, bias.shape, expected);
  if (finite) check_finite(bias.data, what);
}

}  // namespace

RecurrentCore::RecurrentCore(const char* name, Cell cell, const RecurrentConfig& config,
                             const std::vector<CellWeights>& cells, const std::optional<Scheme>& scheme,
                             const Backend* backend)
    : name_(name), cell_(cell), config_(config), backend_(&check_backend(backend)) {
  validate(config_);
  const auto expected = static_cast<std::size_t>(config_.num_layers * config_.directions());
  if (cells.size() != expected) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {name_, ": ", cells.size(), " cells, expected num_layers * directions = ", expected});
  }
  const bool quantized = cells[0].weight_ih.quantized();
  kernels_ = quantized ? backend_->kernels->int8 : backend_->kernels->f32;
  if (quantized) scheme_ = scheme.value_or(Scheme::per_row());
  const FloatEnvironment environment;  // for the sums of biases
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const std::int64_t layer = index / config_.directions();
    cells_.push_back(pack(cells[i], layer, lstm_suffix(layer, index % config_.directions() == 1)));
  }
}

PackedCell RecurrentCore::pack(const CellWeights& cell, std::int64_t layer, const std::string& suffix) const {
  const std::uint32_t gates = cell_gates(cell_), units = panel_units(kernels_->layout);
  const std::int64_t rows = gates * config_.hidden_size;
  const bool quantized = scheme_.has_value();
  const auto what = [&](const char* tensor) { return detail::join_text({name_, ": ", tensor, suffix}); };
  check_matrix(cell.weight_ih, rows, config_.layer_input_size(layer), quantized, what("weight_ih"));
  check_matrix(cell.weight_hh, rows, config_.output_size(), quantized, what("weight_hh"));
  if (config_.proj_size > 0)
    check_matrix(cell.weight_hr, config_.proj_size, config_.hidden_size, quantized, what("weight_hr"));
  check_bias(cell.bias_ih, rows, config_.bias, quantized, what("bias_ih"));
  check_bias(cell.bias_hh, rows, config_.bias, quantized, what("bias_hh"));

  // PyTorch adds each bias to its product; otherwise both are added to the input product.
  const bool separate_biases = quantized && scheme_->is_torch();
  std::vector<float> ih_bias = cell.bias_ih.data, hh_bias;
  if (separate_biases) {
    hh_bias = cell.bias_hh.data;
  } else {
    for (std::size_t n = 0; n < ih_bias.size(); ++n) ih_bias[n] += cell.bias_hh.data[n];
  }
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  const auto packed = [&](const Weight& weight, const PackedLayout& layout, const std::vector<float>& bias) {
    return PackedWeights(*kernels_, layout, ChannelOrder::interleaved_gates(layout, units, gates, hidden), weight, bias,
                         separate_biases);
  };
  PackedCell result{packed(cell.weight_ih, kernels_->layout, ih_bias),
                    packed(cell.weight_hh, recurrent_layout(kernels_->layout, gates), hh_bias), std::nullopt,
                    cell.bias_ih, cell.bias_hh};
  if (config_.proj_size > 0) {
    const ChannelOrder order = ChannelOrder::identity(kernels_->layout, static_cast<std::size_t>(config_.proj_size));
    result.hr.emplace(*kernels_, kernels_->layout, order, cell.weight_hr, std::span<const float>(), separate_biases);
  }
  return result;
}

Shape RecurrentCore::output_shape(const Shape& x) const {
  if ((x.rank() != 2 && x.rank() != 3) || x.back() != config_.input_size) {
    const std::string expected =
        detail::join_text({config_.batch_first ? "[B, T" : "[T, B", ", input_size] or [T, input_size] with input_size ",
                           config_.input_size});
    check_shape(false, join_text({name_, ": the input"}), x, expected);
  }
  return x.with_back(config_.directions() * config_.output_size());
}

Shape RecurrentCore::state_shape(const Shape& x, std::int64_t size) const {
  const std::int64_t states = config_.num_layers * config_.directions();
  return x.rank() == 3 ? Shape{states, x[config_.batch_first ? 0 : 1], size} : Shape{states, size};
}

void RecurrentCore::check_call(ConstTensorView x, TensorView y, const RecurrentArgs& args) const {
  const Shape expected = output_shape(x.shape);
  const auto what = [&](const char* part) { return detail::join_text({name_, ": ", part}); };
  if (!(y.shape == expected)) check_shape(false, what("the output"), y.shape, expected);
  if (!x.data) check_data(x.data, what("the input"), x.shape);
  if (!y.data) check_data(y.data, what("the output"), y.shape);
  const auto check_state = [&](ConstTensorView state, std::int64_t size, const char* part) {
    if (!state.data) return;
    const Shape shape = state_shape(x.shape, size);
    if (!(state.shape == shape)) check_shape(false, what(part), state.shape, shape);
  };
  check_state(args.h0, config_.output_size(), "h0");
  check_state(args.c0, config_.hidden_size, "c0");
  check_state(args.hn, config_.output_size(), "hn");
  check_state(args.cn, config_.hidden_size, "cn");
  if (args.lengths.empty()) return;
  const bool batched = x.shape.rank() == 3, batch_first = batched && config_.batch_first;
  const std::int64_t batch = batched ? x.shape[batch_first ? 0 : 1] : 1, steps = x.shape[batch_first ? 1 : 0];
  if (args.lengths.size() != static_cast<std::size_t>(batch)) {
    detail::throw_error(ErrorCode::shape_mismatch,
                        {name_, ": ", args.lengths.size(), " lengths for a batch of ", batch});
  }
  for (const std::int64_t n : args.lengths) {
    if (n >= 1 && n <= steps) continue;
    detail::throw_error(ErrorCode::invalid_argument, {name_, ": a length of ", n, ", expected 1 to ", steps});
  }
}

}  // namespace detail
}  // namespace bytegate
