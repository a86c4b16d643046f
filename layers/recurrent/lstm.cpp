// The LSTM and its cell.
#include "layers/kinds.h"
#include "layers/recurrent/recurrent_kind.h"

namespace bytegate {
namespace detail {
namespace {

/// gates = (product of h + bias_hh) + (product of x + bias_ih)     c = f * c + i * g     h = o * tanh(c)
void torch_lstm_step(const TorchStep& s) {
  for (std::size_t row = 0; row < s.rows; ++row) {
    for (std::size_t u = 0; u < s.units; ++u) {
      const auto gate = [&](std::size_t j) {
        const std::size_t n = gate_channel(s.panel_units, 4, j, u);
        return s.h.at(row, n) + s.x.at(row, n);
      };
      const float i = torch_sigmoid(gate(0)), f = torch_sigmoid(gate(1)), g = torch_tanh(gate(2)),
                  o = torch_sigmoid(gate(3));
      float& c = s.c[row * s.c_stride + u];
      c = f * c + i * g;
      s.out[row * s.out_stride + u] = o * torch_tanh(c);
    }
  }
}

constexpr RecurrentKind kLstm{.cell = Cell::lstm,
                              .one_step = false,
                              .name = "lstm",
                              .printed = "LSTM",
                              .title = "an LSTM",
                              .carried = Carried::c,
                              .has_projection = true,
                              .has_nonlinearity = false,
                              .prints_nonlinearity = false,
                              .has_reset = false,
                              .torch_step = torch_lstm_step,
                              .wrap = wrap_core<LSTM>};
constexpr RecurrentKind kLstmCell{.cell = Cell::lstm,
                                  .one_step = true,
                                  .name = "lstm_cell",
                                  .printed = "LSTMCell",
                                  .title = "an LSTMCell",
                                  .carried = Carried::c,
                                  .has_projection = false,
                                  .has_nonlinearity = false,
                                  .prints_nonlinearity = false,
                                  .has_reset = false,
                                  .torch_step = torch_lstm_step,
                                  .wrap = wrap_core<LSTMCell>};

}  // namespace

LayerPtr make_lstm(LayerSource& source) { return read_recurrent(kLstm, source); }
LayerOutline outline_lstm(LayerSource& source) { return outline_recurrent(kLstm, source); }
LayerPtr make_lstm_cell(LayerSource& source) { return read_recurrent(kLstmCell, source); }
LayerOutline outline_lstm_cell(LayerSource& source) { return outline_recurrent(kLstmCell, source); }

}  // namespace detail

LSTM::LSTM(const LSTMConfig& config, const std::vector<RecurrentWeights>& cells, const Backend* backend)
    : RecurrentLayer(detail::kLstm, config, cells, std::nullopt, backend) {}
LSTM::LSTM(const LSTMConfig& config, const std::vector<RecurrentWeights>& cells, const Scheme& scheme,
           const Backend* backend)
    : RecurrentLayer(detail::kLstm, config, cells, scheme, backend) {}
LSTM LSTM::from_float(const LSTM& lstm, const Scheme& scheme, const Backend* backend) {
  return LSTM(lstm.quantized_core(scheme, backend));
}

LSTMCell::LSTMCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Backend* backend)
    : RecurrentLayer(detail::kLstmCell, config, {weights}, std::nullopt, backend) {}
LSTMCell::LSTMCell(const RecurrentConfig& config, const RecurrentWeights& weights, const Scheme& scheme,
                   const Backend* backend)
    : RecurrentLayer(detail::kLstmCell, config, {weights}, scheme, backend) {}
LSTMCell LSTMCell::from_float(const LSTMCell& cell, const Scheme& scheme, const Backend* backend) {
  return LSTMCell(cell.quantized_core(scheme, backend));
}

}  // namespace bytegate
