// The equations of a GRU cell: with the reset behind the recurrent product, as PyTorch has it, in one step; with the
// reset before the product in two, since the candidate's product needs r * h of all units.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

/// h = (h - n) * z + n, n = act(candidate); the state holds h.
template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F gru_update(typename Isa::F candidate, typename Isa::F z, const StepMemory& memory) {
  const auto n = act<Isa>(candidate, memory.relu);
  const auto h = Isa::fma(Isa::load(memory.state) - n, z, n);
  Isa::store(memory.state, h);
  return h;
}

struct GruCell {
  static constexpr int gates = cell_gates(Cell::gru), input_gates = gates, first_gate = 0, own_bias = 2;
  static constexpr bool has_state = true;

  /// gate: r and z (sums and input added), and the recurrent product of the candidate with its bias. half_way: the
  /// candidate before its activation, and z.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F* gate, const StepMemory& memory,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    typename Isa::F rz[] = {gate[0], gate[1]};
    activate<Isa, Activation::sigmoid, Activation::sigmoid>(rz);
    half_way[0] = Isa::fma(rz[0], gate[2], Isa::load(memory.input + 2 * Isa::width));
    half_way[1] = rz[1];
  }

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory& memory) {
    return gru_update<Isa>(half_way[0], half_way[1], memory);
  }
};

struct GruResetCell {
  static constexpr int gates = cell_gates(Cell::gru_reset), input_gates = 3, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = true;

  /// r; z takes the place of its input.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F* gate, const StepMemory& memory,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    typename Isa::F rz[] = {gate[0], gate[1]};
    activate<Isa, Activation::sigmoid, Activation::sigmoid>(rz);
    Isa::store(memory.input + Isa::width, rz[1]);
    half_way[0] = rz[0];
  }

  /// r * h
  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory& memory) {
    return half_way[0] * Isa::load(memory.state);
  }
};

struct GruCandidateCell {
  static constexpr int gates = cell_gates(Cell::gru_candidate), input_gates = 3, first_gate = 2, own_bias = gates;
  static constexpr bool has_state = true;

  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F* gate, const StepMemory& memory,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    half_way[0] = gate[0];
    half_way[1] = Isa::load(memory.input - Isa::width);  // z, where GruResetCell left it
  }

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory& memory) {
    return gru_update<Isa>(half_way[0], half_way[1], memory);
  }
};

}  // namespace bytegate::kernels
