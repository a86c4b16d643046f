// What every recurrent layer is made of: packed weights of each layer and direction, and the schedule over them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/core/workspace_impl.h"
#include "layers/quant/packed_weights.h"
#include "layers/recurrent/recurrent_kind.h"

namespace bytegate::detail {

/// RecurrentWeights, packed. Channels are in gate order.
struct PackedCell {
  PackedWeights ih;  ///< its bias is what is added to the input product
  PackedWeights hh;  ///< its bias is what is added to the recurrent product alone: bias_hh under a torch scheme, that
                     ///< of a GRU's n, else none
  /// The rows of n of a GRU with the reset before the product, whose hh has those of r and z alone.
  std::optional<PackedWeights> candidate;
  std::optional<PackedWeights> hr;
  Tensor bias_ih;  ///< as it came in
  Tensor bias_hh;

  /// Of all matrices.
  std::size_t bytes() const noexcept {
    return ih.bytes() + hh.bytes() + (candidate ? candidate->bytes() : 0) + (hr ? hr->bytes() : 0);
  }
};

class RecurrentCore {
 public:
  RecurrentCore(const RecurrentKind& kind, const RecurrentConfig& config, const std::vector<RecurrentWeights>& cells,
                const std::optional<Scheme>& scheme, const Backend* backend);

  void forward(ConstTensorView x, TensorView y, const RecurrentArgs& args, WorkspaceImpl& workspace) const;

  const RecurrentKind& kind() const noexcept { return kind_; }
  const RecurrentConfig& config() const noexcept { return config_; }
  const Backend& backend() const noexcept { return *backend_; }
  const std::optional<Scheme>& scheme() const noexcept { return scheme_; }  ///< none: float
  const std::vector<PackedCell>& cells() const noexcept { return cells_; }
  bool reset_first() const noexcept { return kind_.has_reset && !config_.reset_after; }

  Shape output_shape(const Shape& x) const;
  /// The shape of a state tensor of `size` features for an input of shape x.
  Shape state_shape(const Shape& x, std::int64_t size) const;
  std::int64_t batch(const Shape& x) const;
  std::int64_t steps(const Shape& x) const;
  bool batch_first(const Shape& x) const noexcept { return !kind_.one_step && x.rank() == 3 && config_.batch_first; }

 private:
  void check_scheme() const;
  void check_kernels() const;
  PackedCell pack(const RecurrentWeights& cell, std::int64_t layer, const std::string& suffix) const;
  void check_call(ConstTensorView x, TensorView y, const RecurrentArgs& args) const;
  void check_lengths(std::span<const std::int64_t> lengths, const Shape& x) const;

  const RecurrentKind& kind_;
  RecurrentConfig config_;
  const Backend* backend_;
  std::optional<Scheme> scheme_;
  const Kernels* kernels_;
  std::vector<PackedCell> cells_;
  std::size_t weight_bytes_ = 0;  ///< of all cells
};

/// The suffix of the tensors of layer and direction number `index`: none of a cell.
std::string weights_suffix(const RecurrentKind& kind, const RecurrentConfig& config, std::size_t index);

/// Throws Error (invalid_argument) for options that the kind does not have, or sizes that are not accepted.
void validate_config(const RecurrentKind& kind, const RecurrentConfig& config);

}  // namespace bytegate::detail
