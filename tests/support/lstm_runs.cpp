#include "tests/support/lstm_runs.h"

#include <algorithm>
#include <stdexcept>

namespace bytegate::testing {

std::vector<LstmKind> lstm_kinds() {
  return {{"float", false, {}},
          {"per_row", true, Scheme::per_row()},
          {"torch_per_tensor_8bit", true, Scheme::torch(false, 8)},
          {"torch_per_channel_7bit", true, Scheme::torch(true, 7)}};
}

std::vector<LstmKind> lstm_kinds(const LstmCase& c) {
  std::vector<LstmKind> kinds = lstm_kinds();
  const bool torch = c.layer != Cell::gru || (c.config.reset_after && c.config.nonlinearity == Nonlinearity::tanh);
  if (!torch) kinds.resize(2);
  return kinds;
}

namespace {

template <class L>
std::shared_ptr<const RecurrentLayer> make_layer(const LstmCase& c, const LstmKind& kind, const Backend& backend) {
  L layer(c.config, to_cells(c.cells), &backend);
  if (kind.quantized) layer = L::from_float(layer, kind.scheme);
  return std::make_shared<const L>(std::move(layer));
}

}  // namespace

AnyLstm::AnyLstm(const LstmCase& c, const LstmKind& kind, const Backend& backend) {
  if (c.layer == Cell::lstm) layer_ = make_layer<LSTM>(c, kind, backend);
  if (c.layer == Cell::gru) layer_ = make_layer<GRU>(c, kind, backend);
  if (c.layer == Cell::rnn) layer_ = make_layer<RNN>(c, kind, backend);
  if (&layer_->backend() != &backend) throw std::logic_error("another backend ran");
}

LSTMResult AnyLstm::forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const {
  return layer_->forward(x, state, lengths);
}

void AnyLstm::forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const {
  layer_->forward(x, y, args, workspace);
}

LSTMResult run(const AnyLstm& layer, const LstmCase& c, Workspace& workspace) {
  const LSTMConfig& config = c.config;
  LSTMResult result{Tensor(c.x.shape.with_back(config.directions() * config.output_size())), c.zero_state()};
  LSTMArgs args = state_in_place(result.state);
  if (c.has_state) {
    args.h0 = c.state.h.view();
    if (c.has_c()) args.c0 = c.state.c.view();
  }
  args.lengths = c.lengths;
  layer.forward(c.x.view(), result.output.view(), args, workspace);
  return result;
}

LSTMResult run(const LstmCase& c, const LstmKind& kind, const Backend& backend) {
  return AnyLstm(c, kind, backend).forward(c.x, c.has_state ? &c.state : nullptr, c.lengths);
}

Tensor take_row(const Tensor& sequence, bool batch_first, std::int64_t b, std::int64_t first, std::int64_t length) {
  const bool batched = sequence.shape.rank() == 3;
  const std::int64_t width = sequence.shape.back();
  const std::int64_t steps = sequence.shape[batched && batch_first ? 1 : 0];
  const std::int64_t batch = !batched ? 1 : sequence.shape[batch_first ? 0 : 1];
  Tensor row(Shape{length, width});
  for (std::int64_t t = 0; t < length; ++t) {
    const std::int64_t from = batched && batch_first ? b * steps + first + t : (first + t) * batch + b;
    std::copy_n(sequence.data.begin() + from * width, width, row.data.begin() + t * width);
  }
  return row;
}

LSTMState take_state(const LSTMState& state, std::int64_t b) {
  const auto take = [&](const Tensor& tensor) {
    if (tensor.shape.rank() == 0) return Tensor();  // a layer without c
    const bool batched = tensor.shape.rank() == 3;
    const std::int64_t states = tensor.shape[0], batch = batched ? tensor.shape[1] : 1, width = tensor.shape.back();
    Tensor row(Shape{states, width});
    for (std::int64_t s = 0; s < states; ++s) {
      std::copy_n(tensor.data.begin() + (s * batch + b) * width, width, row.data.begin() + s * width);
    }
    return row;
  };
  return {take(state.h), take(state.c)};
}

}  // namespace bytegate::testing
