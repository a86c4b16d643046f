// The RNN and its cell.
#include "layers/kinds.h"
#include "layers/recurrent/recurrent_kind.h"

namespace bytegate {
namespace detail {
namespace {

/// h = tanh or relu of (product of x + bias_ih) + (product of h + bias_hh)
void torch_rnn_step(const TorchStep& s) {
  for (std::size_t row = 0; row < s.rows; ++row) {
    for (std::size_t u = 0; u < s.units; ++u) {
      const std::size_t n = gate_channel(s.panel_units, 1, 0, u);
      const float sum = s.x.at(row, n) + s.h.at(row, n);
      s.out[row * s.out_stride + u] = !s.relu ? torch_tanh(sum) : 0.0f > sum ? 0.0f : sum;
    }
  }
}

constexpr RecurrentKind kRnn{.cell = Cell::rnn,
                             .one_step = false,
                             .name = "rnn",
                             .printed = "RNN",
                             .title = "an RNN",
                             .carried = Carried::nothing,
                             .has_projection = false,
                             .has_nonlinearity = true,
                             .prints_nonlinearity = false,
                             .has_reset = false,
                             .torch_step = torch_rnn_step,
                             .wrap = wrap_core<RNN>};
constexpr RecurrentKind kRnnCell{.cell = Cell::rnn,
                                 .one_step = true,
                                 .name = "rnn_cell",
                                 .printed = "RNNCell",
                                 .title = "an RNNCell",
                                 .carried = Carried::nothing,
                                 .has_projection = false,
                                 .has_nonlinearity = true,
                                 .prints_nonlinearity = true,
                                 .has_reset = false,
                                 .torch_step = torch_rnn_step,
                                 .wrap = wrap_core<RNNCell>};

}  // namespace

LayerPtr make_rnn(LayerSource& source) { return read_recurrent(kRnn, source); }
LayerOutline outline_rnn(LayerSource& source) { return outline_recurrent(kRnn, source); }
LayerPtr make_rnn_cell(LayerSource& source) { return read_recurrent(kRnnCell, source); }
LayerOutline outline_rnn_cell(LayerSource& source) { return outline_recurrent(kRnnCell, source); }

}  // namespace detail

RNN::RNN(const RNNConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend)
    : RecurrentLayer(detail::kRnn, config, cells, std::nullopt, backend) {}
RNN::RNN(const RNNConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
         const Backend* backend)
    : RecurrentLayer(detail::kRnn, config, cells, scheme, backend) {}
RNN RNN::from_float(const RNN& rnn, const Scheme& scheme, const Backend* backend) {
  return RNN(rnn.quantized_core(scheme, backend));
}

RNNCell::RNNCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend)
    : RecurrentLayer(detail::kRnnCell, config, {weights}, std::nullopt, backend) {}
RNNCell::RNNCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
                 const Backend* backend)
    : RecurrentLayer(detail::kRnnCell, config, {weights}, scheme, backend) {}
RNNCell RNNCell::from_float(const RNNCell& cell, const Scheme& scheme, const Backend* backend) {
  return RNNCell(cell.quantized_core(scheme, backend));
}

}  // namespace bytegate
