// The equations of an LSTM cell.
#pragma once

#include <bytegate/backend.h>

#include "kernels/activations.h"

namespace bytegate::kernels {

struct LstmCell {
  static constexpr int gates = cell_gates(Cell::lstm);

  /// h of one vector of hidden units from its gates i, f, g, o (sums and input added, before the activation); `c` is
  /// updated.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F step(const typename Isa::F (&gate)[gates], typename Isa::F& c) {
    const auto i = sigmoid<Isa>(gate[0]);
    const auto f = sigmoid<Isa>(gate[1]);
    const auto g = tanh<Isa>(gate[2]);
    const auto o = sigmoid<Isa>(gate[3]);
    c = Isa::fma(f, c, i * g);
    return o * tanh<Isa>(c);
  }
};

}  // namespace bytegate::kernels
