// What distinguishes the recurrent layers from each other. Each has its file, with one constant of this type.
#pragma once

#include <bytegate/recurrent.h>

#include "layers/kinds.h"
#include "layers/quant/torch_arithmetic.h"

namespace bytegate::detail {

/// The float state that a step carries beside the staged h (RecurrentStepArgs::state).
enum class Carried { nothing, h, c };

/// One step in PyTorch's arithmetic: the carried c and h (`out`) of `rows` rows; `out` holds the h before.
struct TorchStep {
  TorchGates x, h;
  std::size_t rows, units;
  std::uint32_t panel_units;
  float* c;
  std::size_t c_stride;
  float* out;
  std::size_t out_stride;
  bool relu;
};

struct RecurrentKind {
  Cell cell;
  bool one_step;             ///< a cell: one layer and direction, x without the dimension of steps
  std::string_view name;     ///< in an architecture: "gru"
  std::string_view printed;  ///< "GRU"
  std::string_view title;    ///< "a GRU"
  Carried carried;           ///< c: the state of a call is h and c
  bool has_projection;
  bool has_nonlinearity;
  bool prints_nonlinearity;  ///< PyTorch's RNN does not
  bool has_reset;            ///< reset_after
  void (*torch_step)(const TorchStep& step);
  LayerPtr (*wrap)(std::shared_ptr<const RecurrentCore> core);

  std::uint32_t gates() const noexcept { return cell_gates(cell); }
};

/// RecurrentKind::wrap of a layer.
template <class L>
LayerPtr wrap_core(std::shared_ptr<const RecurrentCore> core) {
  return own(new L(std::move(core)));
}

/// Makes and outlines the layer from a file.
LayerPtr read_recurrent(const RecurrentKind& kind, LayerSource& source);
LayerOutline outline_recurrent(const RecurrentKind& kind, LayerSource& source);

}  // namespace bytegate::detail
