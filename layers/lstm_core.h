// Both LSTM layers, float and quantized: the same recurrence over a backend's kernels.
#pragma once

#include <bytegate/layers.h>

#include <optional>

#include "layers/staging.h"
#include "layers/workspace_impl.h"

namespace bytegate::detail {

/// One layer and direction.
struct PackedCell {
  PackedWeights ih;  ///< channels in gate order; its bias is bias_ih + bias_hh, or bias_ih alone in the torch scheme
  PackedWeights hh;  ///< channels in gate order; its bias is bias_hh in the torch scheme, else none
  PackedWeights hr;  ///< projection; without panels if there is none
  Tensor bias_ih;    ///< as given
  Tensor bias_hh;
};

class LstmCore {
 public:
  LstmCore(const LSTMConfig& config, const std::vector<LSTMCell<Tensor>>& cells, const Backend& backend);
  LstmCore(const LSTMConfig& config, const std::vector<LSTMCell<QuantizedWeight>>& cells, const Scheme& scheme, const Backend& backend);

  void forward(ConstTensorView x, TensorView y, const LSTMArgs& args, WorkspaceImpl& workspace) const;
  LSTMResult forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const;

  const LSTMConfig& config() const noexcept { return config_; }
  const Backend& backend() const noexcept { return *backend_; }
  const std::optional<Scheme>& scheme() const noexcept { return scheme_; }
  std::vector<LSTMCell<Tensor>> float_cells() const;
  std::vector<LSTMCell<QuantizedWeight>> quantized_cells() const;

 private:
  template <class Weight>
  void pack(const std::vector<LSTMCell<Weight>>& cells);

  LSTMConfig config_;
  const Backend* backend_;
  const Kernels* kernels_;
  std::optional<Scheme> scheme_;  ///< none: float
  std::vector<PackedCell> cells_;
};

}  // namespace bytegate::detail
