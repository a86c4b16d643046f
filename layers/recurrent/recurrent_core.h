// What every recurrent layer is made of: packed weights of each layer and direction, and the schedule over them.
#pragma once

#include <bytegate/layers.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/core/workspace_impl.h"
#include "layers/quant/packed_weights.h"

namespace bytegate::detail {

/// What an LSTM takes, with as many gates as the cell has, holds for every recurrent layer.
using CellWeights = LSTMCell;
using RecurrentArgs = LSTMArgs;

/// CellWeights, packed.
struct PackedCell {
  PackedWeights ih;  ///< channels in gate order; its bias is bias_ih + bias_hh, or bias_ih alone under a torch scheme
  PackedWeights hh;  ///< channels in gate order; its bias is bias_hh under a torch scheme, else none
  std::optional<PackedWeights> hr;
  Tensor bias_ih;  ///< as it came in
  Tensor bias_hh;
};

class RecurrentCore {
 public:
  /// `cell` names the layer in errors, as PyTorch does: "LSTM".
  RecurrentCore(const char* name, Cell cell, const RecurrentConfig& config, const std::vector<CellWeights>& cells,
                const std::optional<Scheme>& scheme, const Backend* backend);

  void forward(ConstTensorView x, TensorView y, const RecurrentArgs& args, WorkspaceImpl& workspace) const;

  const RecurrentConfig& config() const noexcept { return config_; }
  const Backend& backend() const noexcept { return *backend_; }
  const std::optional<Scheme>& scheme() const noexcept { return scheme_; }  ///< none: float
  const std::vector<PackedCell>& cells() const noexcept { return cells_; }

  Shape output_shape(const Shape& x) const;
  /// The shape of a state tensor of `size` features for an input of shape x.
  Shape state_shape(const Shape& x, std::int64_t size) const;

 private:
  PackedCell pack(const CellWeights& cell, std::int64_t layer, const std::string& suffix) const;
  void check_call(ConstTensorView x, TensorView y, const RecurrentArgs& args) const;

  const char* name_;
  Cell cell_;
  RecurrentConfig config_;
  const Backend* backend_;
  std::optional<Scheme> scheme_;
  const Kernels* kernels_;
  std::vector<PackedCell> cells_;
};

}  // namespace bytegate::detail
