// The equations of a GRU cell: with the reset behind the recurrent product, as PyTorch has it, in one step; with the
// reset before the product in two, since the candidate's product needs r * h of all units.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

/// h = (h - n) * z + n; the state holds h.
template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F gru_update(typename Isa::F n, typename Isa::F z, float* state) {
  const auto h = Isa::fma(Isa::load(state) - n, z, n);
  Isa::store(state, h);
  return h;
}

struct GruCell {
  static constexpr int gates = cell_gates(Cell::gru), input_gates = gates, first_gate = 0, own_bias = 2;
  static constexpr bool has_state = true;

  /// gate: r and z (sums and input added), and the recurrent product of n with its bias.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F step(const typename Isa::F (&gate)[gates], const StepMemory& memory) {
    const auto r = sigmoid<Isa>(gate[0]);
    const auto z = sigmoid<Isa>(gate[1]);
    const auto n = act<Isa>(Isa::fma(r, gate[2], Isa::load(memory.input + 2 * Isa::width)), memory.relu);
    return gru_update<Isa>(n, z, memory.state);
  }
};

struct GruResetCell {
  static constexpr int gates = cell_gates(Cell::gru_reset), input_gates = 3, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = true;

  /// r * h; z takes the place of its input.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F step(const typename Isa::F (&gate)[gates], const StepMemory& memory) {
    Isa::store(memory.input + Isa::width, sigmoid<Isa>(gate[1]));
    return sigmoid<Isa>(gate[0]) * Isa::load(memory.state);
  }
};

struct GruCandidateCell {
  static constexpr int gates = cell_gates(Cell::gru_candidate), input_gates = 3, first_gate = 2, own_bias = gates;
  static constexpr bool has_state = true;

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F step(const typename Isa::F (&gate)[gates], const StepMemory& memory) {
    const auto z = Isa::load(memory.input - Isa::width);  // where GruResetCell left it
    return gru_update<Isa>(act<Isa>(gate[0], memory.relu), z, memory.state);
  }
};

}  // namespace bytegate::kernels
