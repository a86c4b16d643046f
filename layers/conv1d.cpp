#include <bytegate/conv1d.h>

#include <algorithm>

#include "layers/conv/depthwise.h"
#include "layers/conv/rows.h"
#include "layers/core/checks.h"
#include "layers/core/share.h"
#include "layers/kinds.h"

namespace bytegate {
namespace detail {
namespace {

Weight view_conv_weight(const Conv1dConfig& config, ConstTensorView weight) {
  validate(config);
  const Shape expected{config.out_channels, config.in_channels / config.groups, config.kernel_size};
  check_shape(weight.shape == expected, "Conv1d: the weight", weight.shape, expected);
  check_data(weight.data, "Conv1d: the weight", weight.shape);
  return Weight::view({weight.data, Shape{expected[0], expected[1] * expected[2]}});
}

}  // namespace

/// Either a product of windows, whose weights are [out_channels, kernel_size * in_channels], or a depthwise one.
class Conv1dCore {
 public:
  Conv1dCore(const Conv1dConfig& c, const Weight& weight, ConstTensorView bias, const Scheme& how, const Backend* on)
      : config(c) {
    validate(c);
    const std::int64_t cols = c.in_channels / c.groups * c.kernel_size;
    const bool fits = weight.rows() == c.out_channels && weight.cols() == cols;
    check_shape(fits, "Conv1d: the weight", Shape{weight.rows(), weight.cols()}, Shape{c.out_channels, cols});
    if (c.groups > 1)
      depthwise = share<Depthwise>(weight, bias, how, on);
    else
      dense = share<RowProduct>("Conv1d", weight.with_rows_transposed(c.in_channels), bias, how, false, on);
  }
  /// That of the other layout; rows are the same in both.
  Conv1dCore(const Conv1dCore& core, bool channels_last)
      : config([&] {
          Conv1dConfig c = core.config;
          c.channels_last = channels_last;
          return c;
        }()),
        dense(core.dense),
        depthwise(core.depthwise) {}

  void forward(ConstTensorView x, TensorView y, LayerState* state, std::span<const std::int64_t> lengths,
               const Layer* next, WorkspaceImpl& workspace) const;
  std::int64_t output_steps(std::int64_t steps) const;
  Shape output_shape(const Shape& x) const;
  Shape state_shape(const Shape& x) const;

  const std::optional<Scheme>& scheme() const noexcept { return dense ? dense->scheme : depthwise->scheme; }
  const Backend& backend() const noexcept { return *(dense ? dense->backend : depthwise->backend); }

  const Conv1dConfig config;
  std::shared_ptr<const RowProduct> dense;
  std::shared_ptr<const Depthwise> depthwise;

 private:
  std::size_t time_dim(const Shape& x) const noexcept { return x.rank() - (config.channels_last ? 2 : 1); }
  float* history(const Shape& x, LayerState* state) const;
};

Shape Conv1dCore::output_shape(const Shape& x) const {
  const std::size_t rank = x.rank();
  if ((rank != 2 && rank != 3) || x[rank - (config.channels_last ? 1 : 2)] != config.in_channels) {
    const std::int64_t n = config.in_channels;
    check_shape(false, "Conv1d: the input", x,
                config.channels_last ? join_text({"[batch, time, ", n, "]"}) : join_text({"[batch, ", n, ", time]"}));
  }
  const std::int64_t steps = output_steps(x[time_dim(x)]);
  if (steps == 0 && !config.causal) {
    const std::int64_t least = (config.kernel_size - 1) * config.dilation + 1 - 2 * config.padding;
    check_shape(false, "Conv1d: the input", x, join_text({"at least ", least, " steps"}));
  }
  std::array<std::int64_t, 3> dims{x[0], x[0], x[0]};
  dims[time_dim(x)] = steps;
  dims[rank - (config.channels_last ? 1 : 2)] = config.out_channels;
  return Shape(std::span<const std::int64_t>(dims.data(), rank));
}

/// Of the state for an input that output_shape accepts.
Shape Conv1dCore::state_shape(const Shape& x) const {
  std::array<std::int64_t, 3> dims{};
  std::ranges::copy(x.dims(), dims.begin());
  dims[time_dim(x)] = static_cast<std::int64_t>(ConvInput::history_steps(config));
  return Shape(std::span<const std::int64_t>(dims.data(), x.rank()));
}

/// The state's data; null for none.
float* Conv1dCore::history(const Shape& x, LayerState* state) const {
  if (!state || ConvInput::history_steps(config) == 0) return nullptr;
  if (state->size() != 1) {
    throw_error(ErrorCode::invalid_argument, {"Conv1d: a state of ", state->size(), " tensors, expected 1"});
  }
  const Shape expected = state_shape(x);
  Tensor& tensor = state->front();
  if (!(tensor.shape == expected)) check_shape(false, "Conv1d: the state", tensor.shape, expected);
  if (x[time_dim(x)] % config.stride != 0) {
    throw_error(ErrorCode::invalid_argument, {"Conv1d: ", x[time_dim(x)], " steps with a state; a multiple of stride ",
                                              config.stride, " is accepted"});
  }
  return tensor.view().data;
}

std::int64_t Conv1dCore::output_steps(std::int64_t steps) const {
  const std::int64_t span = (config.kernel_size - 1) * config.dilation + 1,
                     beyond = config.causal ? steps - 1 : steps + 2 * config.padding - span;
  return beyond < 0 ? 0 : beyond / config.stride + 1;
}

namespace {

void check_lengths(std::span<const std::int64_t> lengths, std::size_t batch, std::size_t steps) {
  if (lengths.empty()) return;
  if (lengths.size() != batch) {
    throw_error(ErrorCode::shape_mismatch, {"Conv1d: there are ", lengths.size(), " lengths for a batch of ", batch});
  }
  for (std::size_t b = 0; b < batch; ++b) {
    if (lengths[b] >= 0 && static_cast<std::size_t>(lengths[b]) <= steps) continue;
    throw_error(ErrorCode::invalid_argument,
                {"Conv1d: the length of sequence ", b, " is ", lengths[b], ", expected 0 to ", steps});
  }
}

}  // namespace

void Conv1dCore::forward(ConstTensorView x, TensorView y, LayerState* state, std::span<const std::int64_t> lengths,
                         const Layer* next, WorkspaceImpl& workspace) const {
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) check_shape(false, "Conv1d: the output", y.shape, expected);
  check_data(x.data, "Conv1d: the input", x.shape);
  check_data(y.data, "Conv1d: the output", y.shape);
  float* before = history(x.shape, state);
  const auto size = [](std::int64_t v) { return static_cast<std::size_t>(v); };
  const std::size_t batch = x.shape.rank() == 3 ? size(x.shape[0]) : 1, steps = size(x.shape[time_dim(x.shape)]),
                    out_steps = size(expected[time_dim(x.shape)]);
  check_lengths(lengths, batch, steps);
  if (before && !lengths.empty())
    throw_error(ErrorCode::invalid_argument, {"Conv1d: lengths and a state at once are not accepted"});
  const ConvInput input(config, x.data, before, batch, steps, out_steps, lengths);
  const ConvOutput output{y.data, size(config.out_channels), out_steps, config.channels_last};
  if (dense) {
    dense->run(ConvRows(input, output, dense->scheme.has_value()), input.rows(), next, workspace);
  } else {
    depthwise->run(input, output, next, workspace);
  }
  if (before) input.keep_history(before);
}

}  // namespace detail

void validate(const Conv1dConfig& c) {
  using detail::throw_error;
  constexpr std::int64_t most = 65536;
  const auto check = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value >= least && value <= most) return;
    throw_error(ErrorCode::invalid_argument,
                {"Conv1d: ", name, " is ", value, "; ", least, " to ", most, " are accepted"});
  };
  check("in_channels", c.in_channels, 1);
  check("out_channels", c.out_channels, 1);
  check("kernel_size", c.kernel_size, 1);
  check("stride", c.stride, 1);
  check("padding", c.padding, 0);
  check("dilation", c.dilation, 1);
  if (c.groups != 1 && (c.groups != c.in_channels || c.groups != c.out_channels)) {
    throw_error(ErrorCode::invalid_argument,
                {"Conv1d: groups is ", c.groups, " for ", c.in_channels, " in_channels and ", c.out_channels,
                 " out_channels; 1 is accepted, and the number of channels where both have the same"});
  }
  if (c.causal && c.padding != 0)
    throw_error(ErrorCode::invalid_argument, {"Conv1d: padding is ", c.padding, " in a causal layer; 0 is accepted"});
}

Conv1d::Conv1d(const Conv1dConfig& config, ConstTensorView weight, ConstTensorView bias, const Backend* backend)
    : Conv1d(config, detail::view_conv_weight(config, weight), bias, {}, backend) {}

Conv1d::Conv1d(const Conv1dConfig& config, const Weight& weight, ConstTensorView bias, const Scheme& scheme,
               const Backend* backend)
    : core_(detail::share<detail::Conv1dCore>(config, weight, bias, scheme, backend)) {}

Conv1d Conv1d::from_float(const Conv1d& conv, const Scheme& scheme, const Backend* backend) {
  if (conv.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"Conv1d::from_float: the layer is int8 already"});
  const std::optional<Tensor> bias = conv.bias();
  return {conv.config(), Weight::quantizing(conv.weight(), scheme), bias ? bias->view() : ConstTensorView{}, scheme,
          backend ? backend : &conv.backend()};
}

Conv1d Conv1d::in_layout(bool channels_last) const {
  return Conv1d(detail::share<detail::Conv1dCore>(*core_, channels_last));
}

LayerPtr Conv1d::quantize_dynamic(const Scheme& scheme, const Backend* backend) const {
  return quantized() ? nullptr : detail::own(new Conv1d(from_float(*this, scheme, backend)));
}

void Conv1d::forward(ConstTensorView x, TensorView y, Workspace& workspace) const {
  core_->forward(x, y, nullptr, {}, nullptr, workspace.impl());
}
void Conv1d::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const {
  core_->forward(x, y, state, {}, nullptr, workspace.impl());
}
void Conv1d::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                     std::span<const std::int64_t> lengths) const {
  core_->forward(x, y, state, lengths, nullptr, workspace.impl());
}
std::int64_t Conv1d::output_steps(std::int64_t steps) const { return core_->output_steps(steps); }
void Conv1d::forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                          std::span<const std::int64_t> lengths, const Layer& next) const {
  core_->forward(x, y, state, lengths, &next, workspace.impl());
}
Tensor Conv1d::forward(const Tensor& x) const {
  Workspace workspace;
  Tensor y(output_shape(x.shape));
  forward(x.view(), y.view(), workspace);
  return y;
}

const Conv1dConfig& Conv1d::config() const noexcept { return core_->config; }
bool Conv1d::quantized() const noexcept { return scheme().has_value(); }
const std::optional<Scheme>& Conv1d::scheme() const noexcept { return core_->scheme(); }
const Backend& Conv1d::backend() const noexcept { return core_->backend(); }
std::int64_t Conv1d::input_size() const noexcept { return config().channels_last ? config().in_channels : -1; }
Shape Conv1d::sample_shape(std::int64_t batch, std::int64_t steps) const {
  const std::int64_t channels = config().in_channels;
  return config().channels_last ? Shape{batch, steps, channels} : Shape{batch, channels, steps};
}
Shape Conv1d::output_shape(const Shape& x) const { return core_->output_shape(x); }

std::vector<Shape> Conv1d::state_shapes(const Shape& x) const {
  if (detail::ConvInput::history_steps(config()) == 0) return {};
  output_shape(x);  // throws for an input that is not accepted
  return {core_->state_shape(x)};
}

Weight Conv1d::weight() const {
  if (core_->depthwise) return core_->depthwise->weight();
  return core_->dense->weights.unpack(core_).with_rows_transposed(config().kernel_size);
}
std::optional<Tensor> Conv1d::bias() const { return core_->dense ? core_->dense->bias() : core_->depthwise->bias(); }

void Conv1d::describe(LayerVisitor& visitor) const {
  using Print = LayerField::Print;
  const Conv1dConfig& c = config();
  const auto option = [&](const char* name, std::int64_t value, std::int64_t by_default, Print print) {
    visitor.field({name, detail::join_text({"(", value, ",)"}), print, value == by_default, false});
    visitor.field({name, value, Print::never, value == by_default});
  };
  visitor.begin("conv1d", quantized() ? "DynamicQuantizedConv1d" : "Conv1d");
  visitor.field({"in_channels", c.in_channels, Print::value});
  visitor.field({"out_channels", c.out_channels, Print::value});
  option("kernel_size", c.kernel_size, 0, Print::named);
  option("stride", c.stride, 1, Print::named);
  option("padding", c.padding, 0, Print::named_unless_default);
  option("dilation", c.dilation, 1, Print::named_unless_default);
  visitor.field({"groups", c.groups, Print::named_unless_default, c.groups == 1});
  const std::optional<Tensor> b = bias();
  visitor.field({"bias", b.has_value(), Print::named_unless_default, b.has_value()});
  visitor.field({"channels_last", c.channels_last, Print::named_unless_default, !c.channels_last});
  visitor.field({"causal", c.causal, Print::named_unless_default, !c.causal});
  if (quantized()) {
    visitor.field({"dtype", "qint8", Print::never});
    visitor.scheme(*scheme());
  }
  visitor.weight("weight", weight().with_shape({c.out_channels, c.in_channels / c.groups, c.kernel_size}));
  if (b) visitor.tensor("bias", *b);
}

LayerPtr detail::make_conv1d(LayerSource& source) {
  Conv1dConfig c;
  c.groups = source.size("groups", 1, 1);
  c.in_channels = source.size("in_channels", "weight", 1, 3) * (source.states("in_channels") ? 1 : c.groups);
  c.out_channels = source.size("out_channels", "weight", 0, 3);
  c.kernel_size = source.size("kernel_size", "weight", 2, 3);
  c.stride = source.size("stride", 1, 1);
  c.padding = source.size("padding", 0, 0);
  c.dilation = source.size("dilation", 1, 1);
  c.channels_last = source.flag("channels_last", false);
  c.causal = source.flag("causal", false);
  const bool has_bias = source.flag("bias", true, "bias");
  validate(c);
  const Tensor bias = has_bias ? source.floats("bias", Shape{c.out_channels}) : Tensor();
  const Weight weight = source.weight("weight", Shape{c.out_channels, c.in_channels / c.groups, c.kernel_size});
  const Scheme scheme = weight.quantized() ? source.scheme() : Scheme();
  return detail::own(new Conv1d(c, weight, has_bias ? bias.view() : ConstTensorView{}, scheme, source.backend()));
}

}  // namespace bytegate
