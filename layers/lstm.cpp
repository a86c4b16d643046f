#include "layers/lstm_core.h"

namespace bytegate {

LSTM::LSTM(const LSTMConfig& config, const std::vector<LSTMCell<Tensor>>& cells, const Backend* backend)
    : core_(std::make_shared<detail::LstmCore>(config, cells, detail::or_default(backend))) {}

void LSTM::forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const {
  core_->forward(x, y, args, workspace.impl());
}
LSTMResult LSTM::forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const {
  return core_->forward(x, state, lengths);
}
const LSTMConfig& LSTM::config() const noexcept { return core_->config(); }
std::vector<LSTMCell<Tensor>> LSTM::cells() const { return core_->float_cells(); }
const Backend& LSTM::backend() const noexcept { return core_->backend(); }

DynamicQuantizedLSTM::DynamicQuantizedLSTM(const LSTMConfig& config, const std::vector<LSTMCell<QuantizedWeight>>& cells,
                                           const Scheme& scheme, const Backend* backend)
    : core_(std::make_shared<detail::LstmCore>(config, cells, scheme, detail::or_default(backend))) {}

DynamicQuantizedLSTM DynamicQuantizedLSTM::from_float(const LSTM& lstm, const Scheme& scheme, const Backend* backend) {
  std::vector<LSTMCell<QuantizedWeight>> cells;
  for (LSTMCell<Tensor>& cell : lstm.cells()) {
    cells.push_back({quantize_weight(cell.weight_ih.view(), scheme), quantize_weight(cell.weight_hh.view(), scheme), std::move(cell.bias_ih),
                     std::move(cell.bias_hh),
                     lstm.config().proj_size > 0 ? quantize_weight(cell.weight_hr.view(), scheme) : QuantizedWeight()});
  }
  return {lstm.config(), cells, scheme, backend ? backend : &lstm.backend()};
}

void DynamicQuantizedLSTM::forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const {
  core_->forward(x, y, args, workspace.impl());
}
LSTMResult DynamicQuantizedLSTM::forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const {
  return core_->forward(x, state, lengths);
}
const LSTMConfig& DynamicQuantizedLSTM::config() const noexcept { return core_->config(); }
const Scheme& DynamicQuantizedLSTM::scheme() const noexcept { return *core_->scheme(); }
std::vector<LSTMCell<QuantizedWeight>> DynamicQuantizedLSTM::cells() const { return core_->quantized_cells(); }
const Backend& DynamicQuantizedLSTM::backend() const noexcept { return core_->backend(); }

}  // namespace bytegate
