#include <bytegate/layers.h>

#include <algorithm>

#include "layers/kinds.h"
#include "layers/recurrent/recurrent_core.h"

namespace bytegate {
namespace {

std::shared_ptr<const detail::RecurrentCore> make_core(const LSTMConfig& config, const std::vector<LSTMCell>& cells,
                                                       const std::optional<Scheme>& scheme, const Backend* backend) {
  return std::make_shared<const detail::RecurrentCore>("LSTM", Cell::lstm, config, cells, scheme, backend);
}

}  // namespace

LSTM::LSTM(const LSTMConfig& config, const std::vector<LSTMCell>& cells, const Backend* backend)
    : core_(make_core(config, cells, std::nullopt, backend)) {}

LSTM::LSTM(const LSTMConfig& config, const std::vector<LSTMCell>& cells, const Scheme& scheme, const Backend* backend)
    : core_(make_core(config, cells, scheme, backend)) {}

LSTM LSTM::from_float(const LSTM& lstm, const Scheme& scheme, const Backend* backend) {
  if (lstm.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"LSTM::from_float: the layer is int8 already"});
  std::vector<LSTMCell> cells = lstm.cells();
  for (LSTMCell& cell : cells) {
    cell.weight_ih = Weight::quantizing(cell.weight_ih, scheme);
    cell.weight_hh = Weight::quantizing(cell.weight_hh, scheme);
    if (!cell.weight_hr.empty()) cell.weight_hr = Weight::quantizing(cell.weight_hr, scheme);
  }
  return {lstm.config(), cells, scheme, backend ? backend : &lstm.backend()};
}

LayerPtr LSTM::quantize_dynamic(const Scheme& scheme, const Backend* backend) const {
  return quantized() ? nullptr : std::make_shared<const LSTM>(from_float(*this, scheme, backend));
}

void LSTM::forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const {
  core_->forward(x, y, args, workspace.impl());
}

void LSTM::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const {
  LSTMArgs args;
  if (state) {
    if (state->size() != 2)
      detail::throw_error(ErrorCode::invalid_argument, {"LSTM: the state must be two tensors, h and c"});
    Tensor &h = (*state)[0], &c = (*state)[1];
    args = {h.view(), c.view(), h.view(), c.view(), {}};
  }
  forward(x, y, args, workspace);
}

LSTMResult LSTM::forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const {
  LSTMResult result{Tensor(output_shape(x.shape)),
                    {Tensor(core_->state_shape(x.shape, config().output_size())),
                     Tensor(core_->state_shape(x.shape, config().hidden_size))}};
  LSTMArgs args{{}, {}, result.state.h.view(), result.state.c.view(), lengths};
  if (state) {
    args.h0 = state->h.view();
    args.c0 = state->c.view();
  }
  Workspace workspace;
  forward(x.view(), result.output.view(), args, workspace);
  return result;
}

Shape LSTM::output_shape(const Shape& x) const { return core_->output_shape(x); }

std::vector<Shape> LSTM::state_shapes(const Shape& x) const {
  return {core_->state_shape(x, config().output_size()), core_->state_shape(x, config().hidden_size)};
}

const LSTMConfig& LSTM::config() const noexcept { return core_->config(); }
bool LSTM::quantized() const noexcept { return core_->scheme().has_value(); }
const std::optional<Scheme>& LSTM::scheme() const noexcept { return core_->scheme(); }
const Backend& LSTM::backend() const noexcept { return core_->backend(); }

std::vector<LSTMCell> LSTM::cells() const {
  std::vector<LSTMCell> cells;
  for (const detail::PackedCell& cell : core_->cells()) {
    cells.push_back({cell.ih.unpack(core_), cell.hh.unpack(core_), cell.bias_ih, cell.bias_hh,
                     cell.hr ? cell.hr->unpack(core_) : Weight()});
  }
  return cells;
}

namespace {

void describe_lstm(const LSTMConfig& c, bool quantized, LayerVisitor& visitor) {
  using Print = LayerField::Print;
  visitor.begin("lstm", quantized ? "DynamicQuantizedLSTM" : "LSTM");
  visitor.field({"input_size", c.input_size, Print::value});
  visitor.field({"hidden_size", c.hidden_size, Print::value});
  // PyTorch prints proj_size before num_layers, and files have it last.
  visitor.field({"proj_size", c.proj_size, Print::named_unless_default, c.proj_size == 0, false});
  visitor.field({"num_layers", c.num_layers, Print::named_unless_default, c.num_layers == 1});
  visitor.field({"bias", c.bias, Print::named_unless_default, c.bias});
  visitor.field({"batch_first", c.batch_first, Print::named_unless_default, !c.batch_first});
  visitor.field({"bidirectional", c.bidirectional, Print::named_unless_default, !c.bidirectional});
  visitor.field({"proj_size", c.proj_size, Print::never, c.proj_size == 0});
}

/// Fails unless weight_ih_l0 has 4 rows for each hidden unit.
void check_gates(const LayerSource& source, std::int64_t hidden_size) {
  const std::int64_t rows = source.matrix("weight_ih_l0")[0];
  if (rows == 4 * hidden_size) return;
  if (hidden_size > 0 && rows == 3 * hidden_size) {
    source.fail({"has 3 rows of weight_ih_l0 for each hidden unit, as a GRU has; an LSTM has 4"});
  }
  if (rows == hidden_size)
    source.fail({"has a row of weight_ih_l0 for each hidden unit, as a plain RNN has; an LSTM has 4"});
  source.fail({"has ", rows, " rows of weight_ih_l0 for ", hidden_size, " hidden units; an LSTM has 4 for each"});
}

LSTMConfig read_lstm_config(LayerSource& source) {
  const bool projected = source.has("weight_hr_l0");
  std::int64_t layers = 0;
  while (source.has("weight_ih" + lstm_suffix(layers, false))) ++layers;
  LSTMConfig config;
  config.input_size = source.size("input_size", "weight_ih_l0", 1);
  config.hidden_size = source.size("hidden_size", projected ? "weight_hr_l0" : "weight_hh_l0", 1);
  if (!source.states("hidden_size")) check_gates(source, config.hidden_size);
  config.num_layers = source.size("num_layers", 1, std::max<std::int64_t>(layers, 1));
  config.bias = source.flag("bias", true, "bias_ih_l0");
  config.batch_first = source.flag("batch_first", false);
  config.bidirectional = source.flag("bidirectional", false, "weight_ih_l0_reverse");
  config.proj_size = source.size("proj_size", 0, projected ? source.matrix("weight_hr_l0")[0] : 0);
  source.ignore("dropout");
  try {
    validate(config);
  } catch (const Error& error) {
    source.fail({"is not a valid LSTM: ", error.what()});
  }
  if (config.num_layers < layers) {
    source.fail({"has num_layers ", config.num_layers, ", but its tensors are those of ", layers, " layers"});
  }
  if (projected && config.proj_size == 0) source.fail({"has proj_size 0, but there is a tensor weight_hr_l0"});
  return config;
}

std::vector<LSTMCell> read_lstm_cells(LayerSource& source, const LSTMConfig& c) {
  const std::int64_t gates = 4 * c.hidden_size;
  std::vector<LSTMCell> cells;
  for (std::int64_t layer = 0; layer < c.num_layers; ++layer) {
    for (const bool reverse : {false, true}) {
      if (reverse && !c.bidirectional) continue;
      const std::string suffix = lstm_suffix(layer, reverse);
      LSTMCell cell;
      cell.weight_ih = source.weight("weight_ih" + suffix, gates, c.layer_input_size(layer));
      cell.weight_hh = source.weight("weight_hh" + suffix, gates, c.output_size());
      if (c.bias) {
        cell.bias_ih = source.floats("bias_ih" + suffix, Shape{gates});
        cell.bias_hh = source.floats("bias_hh" + suffix, Shape{gates});
      }
      if (c.proj_size > 0) cell.weight_hr = source.weight("weight_hr" + suffix, c.proj_size, c.hidden_size);
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

}  // namespace

void LSTM::describe(LayerVisitor& visitor) const {
  const LSTMConfig& c = config();
  describe_lstm(c, quantized(), visitor);
  if (quantized()) {
    visitor.field({"dtype", "qint8"});
    visitor.scheme(*scheme());
  }
  const std::vector<LSTMCell> all = cells();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const std::string suffix = lstm_suffix(index / c.directions(), index % c.directions() == 1);
    visitor.weight("weight_ih" + suffix, all[i].weight_ih);
    visitor.weight("weight_hh" + suffix, all[i].weight_hh);
    if (c.bias) {
      visitor.tensor("bias_ih" + suffix, all[i].bias_ih);
      visitor.tensor("bias_hh" + suffix, all[i].bias_hh);
    }
    if (c.proj_size > 0) visitor.weight("weight_hr" + suffix, all[i].weight_hr);
  }
}

LayerPtr detail::make_lstm(LayerSource& source) {
  const LSTMConfig config = read_lstm_config(source);
  const std::vector<LSTMCell> cells = read_lstm_cells(source, config);
  const Scheme scheme = cells[0].weight_ih.quantized() ? source.scheme() : Scheme();
  return std::make_shared<const LSTM>(config, cells, scheme, source.backend());
}

LayerOutline detail::outline_lstm(LayerSource& source) {
  const LSTMConfig config = read_lstm_config(source);
  read_lstm_cells(source, config);
  for (const std::string& tensor : source.others()) {
    if (tensor.starts_with("weight_") || tensor.starts_with("bias_")) {
      source.fail({"has \"", tensor, "\", which an LSTM like its first layer does not have"});
    }
  }
  return {printed([&](LayerVisitor& visitor) { describe_lstm(config, false, visitor); }), config.input_size,
          config.directions() * config.output_size()};
}

}  // namespace bytegate
