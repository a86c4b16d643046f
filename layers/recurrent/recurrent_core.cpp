#include "layers/recurrent/recurrent_core.h"

#include <algorithm>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"

namespace bytegate {
namespace {

void validate_sizes(std::string_view name, const RecurrentConfig& c) {
  const auto require = [&](bool ok, const char* field, std::int64_t value, const std::string& accepted) {
    if (ok) return;
    detail::throw_error(ErrorCode::invalid_argument, {name, ": ", field, " is ", value, ", expected ", accepted});
  };
  constexpr auto max = static_cast<std::int64_t>(kMaxK);
  const std::string sizes = detail::join_text({"1 to ", max});
  require(c.input_size >= 1 && c.input_size <= max, "input_size", c.input_size, sizes);
  require(c.hidden_size >= 1 && c.hidden_size <= max, "hidden_size", c.hidden_size, sizes);
  require(c.num_layers >= 1 && c.num_layers <= max, "num_layers", c.num_layers, sizes);
  require(c.proj_size >= 0 && c.proj_size < c.hidden_size, "proj_size", c.proj_size, "0 (none) to hidden_size - 1");
}

}  // namespace

void validate(const RecurrentConfig& config) { validate_sizes("LSTM", config); }

std::string lstm_suffix(std::int64_t layer, bool reverse) {
  return detail::join_text({"_l", layer, reverse ? "_reverse" : ""});
}

namespace detail {

void validate_config(const RecurrentKind& kind, const RecurrentConfig& c) {
  validate_sizes(kind.printed, c);
  const auto refuse = [&](bool wrong, const char* what) {
    if (wrong) throw_error(ErrorCode::invalid_argument, {kind.printed, ": it has no ", what});
  };
  refuse(!kind.has_projection && c.proj_size != 0, "proj_size");
  refuse(!kind.has_nonlinearity && c.nonlinearity != Nonlinearity::tanh, "nonlinearity");
  refuse(!kind.has_reset && !c.reset_after, "reset_after");
  refuse(kind.one_step && (c.num_layers != 1 || c.bidirectional || c.batch_first),
         "num_layers, bidirectional or batch_first");
}

std::string weights_suffix(const RecurrentKind& kind, const RecurrentConfig& config, std::size_t index) {
  if (kind.one_step) return "";
  const auto i = static_cast<std::int64_t>(index);
  return lstm_suffix(i / config.directions(), i % config.directions() == 1);
}

namespace {

void check_matrix(const Weight& weight, std::int64_t rows, std::int64_t cols, bool quantized, const std::string& what) {
  const Shape shape{weight.rows(), weight.cols()}, expected{rows, cols};
  check_shape(shape == expected, what, shape, expected);
  if (weight.quantized() == quantized) return;
  detail::throw_error(ErrorCode::invalid_argument,
                      {what, " is ", quantized ? "float32" : "int8",
                       ", unlike the layer's first weight_ih; all matrices are of one type"});
}

void check_bias(const Tensor& bias, std::int64_t size, bool wanted, bool finite, const std::string& what) {
  const Shape expected = wanted ? Shape{size} : Shape{0};
  if (!wanted && bias.data.empty()) return;
  check_shape(bias.shape == expected && bias.data.size() == expected.elements(), what, bias.shape, expected);
  if (finite) check_finite(bias.data, what);
}

/// Rows [first, first + count) as a matrix of their own.
Weight rows_of(const Weight& weight, std::int64_t first, std::int64_t count) {
  const auto begin = static_cast<std::ptrdiff_t>(first * weight.cols()),
             end = static_cast<std::ptrdiff_t>((first + count) * weight.cols());
  if (!weight.quantized()) {
    const Tensor all = weight.floats();
    return Tensor(Shape{count, weight.cols()}, {all.data.begin() + begin, all.data.begin() + end});
  }
  QuantizedWeight all = weight.int8s();
  if (all.scales.size() != 1) {
    all.scales = {all.scales.begin() + static_cast<std::ptrdiff_t>(first),
                  all.scales.begin() + static_cast<std::ptrdiff_t>(first + count)};
  }
  return QuantizedWeight{
      count, weight.cols(), {all.data.begin() + begin, all.data.begin() + end}, std::move(all.scales)};
}

}  // namespace

RecurrentCore::RecurrentCore(const RecurrentKind& kind, const RecurrentConfig& config,
                             const std::vector<RecurrentWeights>& cells, const std::optional<Scheme>& scheme,
                             const Backend* backend)
    : kind_(kind), config_(config), backend_(&check_backend(backend)) {
  validate_config(kind_, config_);
  const auto expected = static_cast<std::size_t>(config_.num_layers * config_.directions());
  if (cells.size() != expected) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {kind_.printed, ": ", cells.size(), " cells, expected num_layers * directions = ", expected});
  }
  const bool quantized = cells[0].weight_ih.quantized();
  kernels_ = quantized ? backend_->kernels->int8 : backend_->kernels->f32;
  if (quantized) scheme_ = scheme.value_or(Scheme::per_row());
  check_scheme();
  check_kernels();
  const FloatEnvironment environment;  // for the sums of biases
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells_.push_back(
        pack(cells[i], static_cast<std::int64_t>(i) / config_.directions(), weights_suffix(kind_, config_, i)));
    weight_bytes_ += cells_.back().bytes();
  }
}

void RecurrentCore::check_scheme() const {
  const bool is_torchs = !kind_.has_reset || (config_.reset_after && config_.nonlinearity == Nonlinearity::tanh);
  if (is_torchs || !scheme_ || !scheme_->is_torch()) return;
  throw_error(ErrorCode::invalid_argument,
              {kind_.printed, ": the torch scheme is PyTorch's arithmetic, and PyTorch has no ", kind_.printed,
               " with reset_after false or another nonlinearity than tanh; the scheme per_row is accepted"});
}

void RecurrentCore::check_kernels() const {
  if (scheme_ && scheme_->is_torch()) return;
  const auto has = [&](Cell cell) { return kernels_->recurrent_step[static_cast<std::size_t>(cell)] != nullptr; };
  if (reset_first() ? has(Cell::gru_reset) && has(Cell::gru_candidate) : has(kind_.cell)) return;
  throw_error(ErrorCode::unsupported_backend,
              {kind_.printed, ": the backend '", backend_->name, "' has no step of this layer",
               reset_first() ? " with reset_after false" : "", " for ", scheme_ ? "int8" : "float32", " weights"});
}

PackedCell RecurrentCore::pack(const RecurrentWeights& cell, std::int64_t layer, const std::string& suffix) const {
  const std::uint32_t gates = kind_.gates(), units = panel_units(kernels_->layout);
  const std::int64_t rows = gates * config_.hidden_size;
  const bool quantized = scheme_.has_value();
  const auto what = [&](const char* tensor) { return detail::join_text({kind_.printed, ": ", tensor, suffix}); };
  check_matrix(cell.weight_ih, rows, config_.layer_input_size(layer), quantized, what("weight_ih"));
  check_matrix(cell.weight_hh, rows, config_.output_size(), quantized, what("weight_hh"));
  if (config_.proj_size > 0)
    check_matrix(cell.weight_hr, config_.proj_size, config_.hidden_size, quantized, what("weight_hr"));
  check_bias(cell.bias_ih, rows, config_.bias, quantized, what("bias_ih"));
  check_bias(cell.bias_hh, rows, config_.bias, quantized, what("bias_hh"));

  // PyTorch adds each bias to its product; otherwise both are added to the input product, but for that of a gate whose
  // recurrent product is scaled with its bias inside.
  const bool torch = quantized && scheme_->is_torch();
  const auto hidden = static_cast<std::size_t>(config_.hidden_size);
  const std::size_t joined = torch ? 0 : (kind_.has_reset && !reset_first() ? 2 : gates) * hidden;
  std::vector<float> ih_bias = cell.bias_ih.data, hh_bias = cell.bias_hh.data;
  for (std::size_t n = 0; n < std::min(joined, ih_bias.size()); ++n) {
    ih_bias[n] += hh_bias[n];
    hh_bias[n] = 0.0f;
  }
  const auto packed = [&](const Weight& weight, std::uint32_t gate_count, const PackedLayout& layout,
                          const std::vector<float>& bias) {
    return PackedWeights(*kernels_, layout, ChannelOrder::interleaved_gates(layout, units, gate_count, hidden), weight,
                         bias, torch);
  };
  // The torch schemes multiply by gemm, whose panels have 4 vectors of channels whatever the gates.
  const auto hh_packed = [&](const Weight& weight, std::uint32_t gate_count, const std::vector<float>& bias) {
    return packed(weight, gate_count, torch ? kernels_->layout : recurrent_layout(kernels_->layout, gate_count), bias);
  };
  const auto h_size = config_.hidden_size;
  PackedCell result{packed(cell.weight_ih, gates, kernels_->layout, ih_bias),
                    reset_first() ? hh_packed(rows_of(cell.weight_hh, 0, 2 * h_size), 2, {})
                                  : hh_packed(cell.weight_hh, gates, hh_bias),
                    std::nullopt,
                    std::nullopt,
                    cell.bias_ih,
                    cell.bias_hh};
  if (reset_first()) result.candidate.emplace(hh_packed(rows_of(cell.weight_hh, 2 * h_size, h_size), 1, {}));
  if (config_.proj_size > 0) {
    const ChannelOrder order = ChannelOrder::identity(kernels_->layout, static_cast<std::size_t>(config_.proj_size));
    result.hr.emplace(*kernels_, kernels_->layout, order, cell.weight_hr, std::span<const float>(), torch);
  }
  return result;
}

Shape RecurrentCore::output_shape(const Shape& x) const {
  const std::size_t least = kind_.one_step ? 1 : 2;
  if ((x.rank() != least && x.rank() != least + 1) || x.back() != config_.input_size) {
    const std::string expected = detail::join_text({kind_.one_step        ? "[B, input_size] or [input_size]"
                                                    : config_.batch_first ? "[B, T, input_size] or [T, input_size]"
                                                                          : "[T, B, input_size] or [T, input_size]",
                                                    " with input_size ", config_.input_size});
    check_shape(false, join_text({kind_.printed, ": the input"}), x, expected);
  }
  return x.with_back(config_.directions() * config_.output_size());
}

std::int64_t RecurrentCore::batch(const Shape& x) const {
  if (kind_.one_step) return x.rank() == 2 ? x[0] : 1;
  return x.rank() == 3 ? x[config_.batch_first ? 0 : 1] : 1;
}

std::int64_t RecurrentCore::steps(const Shape& x) const { return kind_.one_step ? 1 : x[batch_first(x) ? 1 : 0]; }

Shape RecurrentCore::state_shape(const Shape& x, std::int64_t size) const {
  if (kind_.one_step) return x.with_back(size);
  const std::int64_t states = config_.num_layers * config_.directions();
  return x.rank() == 3 ? Shape{states, batch(x), size} : Shape{states, size};
}

void RecurrentCore::check_call(ConstTensorView x, TensorView y, const RecurrentArgs& args) const {
  const Shape expected = output_shape(x.shape);
  const auto what = [&](const char* part) { return detail::join_text({kind_.printed, ": ", part}); };
  if (!(y.shape == expected)) check_shape(false, what("the output"), y.shape, expected);
  if (!x.data) check_data(x.data, what("the input"), x.shape);
  if (!y.data) check_data(y.data, what("the output"), y.shape);
  const auto check_state = [&](ConstTensorView state, std::int64_t size, const char* part) {
    if (!state.data) return;
    const Shape shape = state_shape(x.shape, size);
    if (!(state.shape == shape)) check_shape(false, what(part), state.shape, shape);
  };
  check_state(args.h0, config_.output_size(), "h0");
  check_state(args.hn, config_.output_size(), "hn");
  if (kind_.carried == Carried::c) {
    check_state(args.c0, config_.hidden_size, "c0");
    check_state(args.cn, config_.hidden_size, "cn");
  } else if (args.c0.data || args.cn.data) {
    throw_error(ErrorCode::invalid_argument, {kind_.printed, ": its state is h alone, and c0 or cn is not null"});
  }
  if (!args.lengths.empty()) check_lengths(args.lengths, x.shape);
}

void RecurrentCore::check_lengths(std::span<const std::int64_t> lengths, const Shape& x) const {
  if (kind_.one_step) {
    throw_error(ErrorCode::invalid_argument, {kind_.printed, ": it has one step, and lengths are not accepted"});
  }
  if (lengths.size() != static_cast<std::size_t>(batch(x))) {
    detail::throw_error(ErrorCode::shape_mismatch,
                        {kind_.printed, ": ", lengths.size(), " lengths for a batch of ", batch(x)});
  }
  for (const std::int64_t n : lengths) {
    if (n >= 1 && n <= steps(x)) continue;
    detail::throw_error(ErrorCode::invalid_argument,
                        {kind_.printed, ": a length of ", n, ", expected 1 to ", steps(x)});
  }
}

}  // namespace detail
}  // namespace bytegate
