// The recurrent layers as layers: calls, states, description, files.
#include <algorithm>
#include <array>

#include "layers/core/checks.h"
#include "layers/core/share.h"
#include "layers/kinds.h"
#include "layers/recurrent/recurrent_core.h"

namespace bytegate {

using detail::Carried;
using detail::RecurrentKind;

RecurrentLayer::RecurrentLayer(const RecurrentKind& kind, const RecurrentConfig& config,
                               const std::vector<RecurrentWeights>& cells, const std::optional<Scheme>& scheme,
                               const Backend* backend)
    : core_(detail::share<detail::RecurrentCore>(kind, config, cells, scheme, backend)) {}

RecurrentLayer::Core RecurrentLayer::quantized_core(const Scheme& scheme, const Backend* on) const {
  const RecurrentKind& kind = core_->kind();
  if (quantized()) {
    detail::throw_error(ErrorCode::invalid_argument, {kind.printed, "::from_float: the layer is int8 already"});
  }
  std::vector<RecurrentWeights> all = cells();
  for (RecurrentWeights& cell : all) {
    cell.weight_ih = Weight::quantizing(cell.weight_ih, scheme);
    cell.weight_hh = Weight::quantizing(cell.weight_hh, scheme);
    if (!cell.weight_hr.empty()) cell.weight_hr = Weight::quantizing(cell.weight_hr, scheme);
  }
  return detail::share<detail::RecurrentCore>(kind, config(), all, scheme, on ? on : &backend());
}

LayerPtr RecurrentLayer::quantize_dynamic(const Scheme& scheme, const Backend* backend) const {
  return quantized() ? nullptr : core_->kind().wrap(quantized_core(scheme, backend));
}

void RecurrentLayer::forward(ConstTensorView x, TensorView y, const RecurrentArgs& args, Workspace& workspace) const {
  core_->forward(x, y, args, workspace.impl());
}

void RecurrentLayer::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const {
  forward(x, y, workspace, state, {});
}

void RecurrentLayer::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                             std::span<const std::int64_t> lengths) const {
  RecurrentArgs args;
  const RecurrentKind& kind = core_->kind();
  if (state) {
    const bool has_c = kind.carried == Carried::c;
    if (state->size() != (has_c ? 2u : 1u)) {
      detail::throw_error(ErrorCode::invalid_argument, {kind.printed, has_c ? ": the state must be two tensors, h and c"
                                                                            : ": the state must be one tensor, h"});
    }
    args.h0 = (*state)[0].view();
    args.hn = (*state)[0].view();
    if (has_c) {
      args.c0 = (*state)[1].view();
      args.cn = (*state)[1].view();
    }
  }
  if (!kind.one_step) args.lengths = lengths;
  forward(x, y, args, workspace);
}

RecurrentResult RecurrentLayer::forward(const Tensor& x, const RecurrentState* state,
                                        std::span<const std::int64_t> lengths) const {
  RecurrentResult result{Tensor(output_shape(x.shape)), {}};
  RecurrentArgs args;
  args.lengths = lengths;
  result.state.h = Tensor(core_->state_shape(x.shape, config().output_size()));
  args.hn = result.state.h.view();
  if (state) args.h0 = state->h.view();
  if (core_->kind().carried == Carried::c) {
    result.state.c = Tensor(core_->state_shape(x.shape, config().hidden_size));
    args.cn = result.state.c.view();
    if (state) args.c0 = state->c.view();
  }
  Workspace workspace;
  forward(x.view(), result.output.view(), args, workspace);
  return result;
}

Shape RecurrentLayer::output_shape(const Shape& x) const { return core_->output_shape(x); }

std::vector<Shape> RecurrentLayer::state_shapes(const Shape& x) const {
  std::vector<Shape> shapes{core_->state_shape(x, config().output_size())};
  if (core_->kind().carried == Carried::c) shapes.push_back(core_->state_shape(x, config().hidden_size));
  return shapes;
}

const RecurrentConfig& RecurrentLayer::config() const noexcept { return core_->config(); }
bool RecurrentLayer::quantized() const noexcept { return core_->scheme().has_value(); }
const std::optional<Scheme>& RecurrentLayer::scheme() const noexcept { return core_->scheme(); }
const Backend& RecurrentLayer::backend() const noexcept { return core_->backend(); }

namespace {

/// The rows of both, those of `b` after those of `a`.
Weight joined(const Weight& a, const Weight& b) {
  const auto read = [a, b](std::int64_t first, std::int64_t count, auto* out) {
    const std::int64_t of_a = std::clamp<std::int64_t>(a.rows() - first, 0, count);
    if (of_a > 0) a.read(first, of_a, out);
    if (of_a < count) b.read(std::max<std::int64_t>(first - a.rows(), 0), count - of_a, out + of_a * a.cols());
  };
  const std::int64_t rows = a.rows() + b.rows();
  if (!a.quantized()) return Weight(rows, a.cols(), Weight::FloatReader(read));
  std::vector<float> scales = a.scales();
  if (scales.size() != 1) scales.insert(scales.end(), b.scales().begin(), b.scales().end());
  return Weight(rows, a.cols(), std::move(scales), Weight::Int8Reader(read));
}

}  // namespace

std::vector<RecurrentWeights> RecurrentLayer::cells() const {
  std::vector<RecurrentWeights> cells;
  for (const detail::PackedCell& cell : core_->cells()) {
    const Weight hh = cell.hh.unpack(core_);
    cells.push_back({cell.ih.unpack(core_), cell.candidate ? joined(hh, cell.candidate->unpack(core_)) : hh,
                     cell.bias_ih, cell.bias_hh, cell.hr ? cell.hr->unpack(core_) : Weight()});
  }
  return cells;
}

namespace {

constexpr std::array<std::string_view, 2> kNonlinearities = {"tanh", "relu"};

void describe_recurrent(const RecurrentKind& kind, const RecurrentConfig& c, bool quantized, LayerVisitor& visitor) {
  using Print = LayerField::Print;
  visitor.begin(kind.name,
                quantized ? detail::join_text({"DynamicQuantized", kind.printed}) : std::string(kind.printed));
  visitor.field({"input_size", c.input_size, Print::value});
  visitor.field({"hidden_size", c.hidden_size, Print::value});
  // PyTorch prints proj_size before num_layers, and files have it last.
  if (kind.has_projection)
    visitor.field({"proj_size", c.proj_size, Print::named_unless_default, c.proj_size == 0, false});
  if (!kind.one_step) visitor.field({"num_layers", c.num_layers, Print::named_unless_default, c.num_layers == 1});
  visitor.field({"bias", c.bias, Print::named_unless_default, c.bias});
  if (!kind.one_step) {
    visitor.field({"batch_first", c.batch_first, Print::named_unless_default, !c.batch_first});
    visitor.field({"bidirectional", c.bidirectional, Print::named_unless_default, !c.bidirectional});
  }
  if (kind.has_projection) visitor.field({"proj_size", c.proj_size, Print::never, c.proj_size == 0});
  if (kind.has_nonlinearity) {
    const auto index = static_cast<std::size_t>(c.nonlinearity);
    visitor.field({"nonlinearity", std::string(kNonlinearities[index]),
                   kind.prints_nonlinearity ? Print::named_unless_default : Print::never, index == 0});
  }
  if (kind.has_reset) visitor.field({"reset_after", c.reset_after, Print::named_unless_default, c.reset_after});
}

/// What a module with so many rows of weight_ih for each hidden unit is. Fails unless they are the kind's gates.
void check_gates(const RecurrentKind& kind, const LayerSource& source, const std::string& tensor,
                 std::int64_t hidden_size) {
  const std::int64_t rows = source.matrix(tensor)[0];
  if (rows == kind.gates() * hidden_size) return;
  for (const auto& [gates, name] : {std::pair{4, "an LSTM"}, {3, "a GRU"}, {1, "a plain RNN"}}) {
    if (hidden_size == 0 || rows != gates * hidden_size) continue;
    const std::string rows_text = gates == 1 ? "a row" : detail::join_text({gates, " rows"});
    source.fail({"has ", rows_text, " of ", tensor, " for each hidden unit, as ", name, " has; ", kind.title, " has ",
                 kind.gates()});
  }
  source.fail({"has ", rows, " rows of ", tensor, " for ", hidden_size, " hidden units; ", kind.title, " has ",
               kind.gates(), " for each"});
}

RecurrentConfig read_config(const RecurrentKind& kind, LayerSource& source) {
  const std::string first = kind.one_step ? "" : "_l0";
  const bool projected = kind.has_projection && source.has("weight_hr_l0");
  std::int64_t layers = 0;
  while (!kind.one_step && source.has("weight_ih" + lstm_suffix(layers, false))) ++layers;
  RecurrentConfig config;
  config.input_size = source.size("input_size", "weight_ih" + first, 1);
  config.hidden_size = source.size("hidden_size", (projected ? "weight_hr" : "weight_hh") + first, 1);
  if (!source.states("hidden_size")) check_gates(kind, source, "weight_ih" + first, config.hidden_size);
  if (!kind.one_step) config.num_layers = source.size("num_layers", 1, std::max<std::int64_t>(layers, 1));
  config.bias = source.flag("bias", true, "bias_ih" + first);
  if (!kind.one_step) {
    config.batch_first = source.flag("batch_first", false);
    config.bidirectional = source.flag("bidirectional", false, "weight_ih_l0_reverse");
    source.ignore("dropout");
  }
  if (kind.has_projection)
    config.proj_size = source.size("proj_size", 0, projected ? source.matrix("weight_hr_l0")[0] : 0);
  if (kind.has_nonlinearity)
    config.nonlinearity = static_cast<Nonlinearity>(source.choice("nonlinearity", kNonlinearities));
  if (kind.has_reset) config.reset_after = source.flag("reset_after", true);
  try {
    validate_config(kind, config);
  } catch (const Error& error) {
    source.fail({"is not a valid ", kind.printed, ": ", error.what()});
  }
  if (config.num_layers < layers) {
    source.fail({"has num_layers ", config.num_layers, ", but its tensors are those of ", layers, " layers"});
  }
  if (projected && config.proj_size == 0) source.fail({"has proj_size 0, but there is a tensor weight_hr_l0"});
  return config;
}

std::vector<RecurrentWeights> read_cells(const RecurrentKind& kind, LayerSource& source, const RecurrentConfig& c) {
  const std::int64_t gates = kind.gates() * c.hidden_size;
  std::vector<RecurrentWeights> cells;
  for (std::int64_t i = 0; i < c.num_layers * c.directions(); ++i) {
    const std::string suffix = weights_suffix(kind, c, static_cast<std::size_t>(i));
    RecurrentWeights cell;
    cell.weight_ih = source.weight("weight_ih" + suffix, gates, c.layer_input_size(i / c.directions()));
    cell.weight_hh = source.weight("weight_hh" + suffix, gates, c.output_size());
    if (c.bias) {
      cell.bias_ih = source.floats("bias_ih" + suffix, Shape{gates});
      cell.bias_hh = source.floats("bias_hh" + suffix, Shape{gates});
    }
    if (c.proj_size > 0) cell.weight_hr = source.weight("weight_hr" + suffix, c.proj_size, c.hidden_size);
    cells.push_back(std::move(cell));
  }
  return cells;
}

}  // namespace

void RecurrentLayer::describe(LayerVisitor& visitor) const {
  const RecurrentConfig& c = config();
  describe_recurrent(core_->kind(), c, quantized(), visitor);
  if (quantized()) {
    visitor.field({"dtype", "qint8"});
    visitor.scheme(*scheme());
  }
  const std::vector<RecurrentWeights> all = cells();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string suffix = weights_suffix(core_->kind(), c, i);
    visitor.weight("weight_ih" + suffix, all[i].weight_ih);
    visitor.weight("weight_hh" + suffix, all[i].weight_hh);
    if (c.bias) {
      visitor.tensor("bias_ih" + suffix, all[i].bias_ih);
      visitor.tensor("bias_hh" + suffix, all[i].bias_hh);
    }
    if (c.proj_size > 0) visitor.weight("weight_hr" + suffix, all[i].weight_hr);
  }
}

LayerPtr detail::read_recurrent(const RecurrentKind& kind, LayerSource& source) {
  const RecurrentConfig config = read_config(kind, source);
  const std::vector<RecurrentWeights> cells = read_cells(kind, source, config);
  const Scheme scheme = cells[0].weight_ih.quantized() ? source.scheme() : Scheme();
  return kind.wrap(share<RecurrentCore>(kind, config, cells, scheme, source.backend()));
}

LayerOutline detail::outline_recurrent(const RecurrentKind& kind, LayerSource& source) {
  const RecurrentConfig config = read_config(kind, source);
  read_cells(kind, source, config);
  for (const std::string& tensor : source.others()) {
    if (tensor.starts_with("weight_") || tensor.starts_with("bias_")) {
      source.fail({"has \"", tensor, "\", which ", kind.title, " like its first layer does not have"});
    }
  }
  return {printed([&](LayerVisitor& visitor) { describe_recurrent(kind, config, false, visitor); }), config.input_size,
          config.directions() * config.output_size()};
}

}  // namespace bytegate
