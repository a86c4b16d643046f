// The equations of an LSTM cell.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

struct LstmCell {
  static constexpr int gates = cell_gates(Cell::lstm), input_gates = gates, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = true;

  /// h of one vector of hidden units from its gates i, f, g, o (sums and input added, before the activation); c, the
  /// state, is updated.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F step(const typename Isa::F (&gate)[gates], const StepMemory& memory) {
    const auto i = sigmoid<Isa>(gate[0]);
    const auto f = sigmoid<Isa>(gate[1]);
    const auto g = tanh<Isa>(gate[2]);
    const auto o = sigmoid<Isa>(gate[3]);
    const auto c = Isa::fma(f, Isa::load(memory.state), i * g);
    Isa::store(memory.state, c);
    return o * tanh<Isa>(c);
  }
};

}  // namespace bytegate::kernels
