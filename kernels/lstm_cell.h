// The equations of an LSTM cell.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

struct LstmCell {
  static constexpr int gates = cell_gates(Cell::lstm), input_gates = gates, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = true;

  /// gate: i, f, g and o (sums and input added); the state holds c. half_way: the new c, and o before its activation,
  /// which then overlaps with that of c. i * g is one quotient, as is o * tanh(c): divisions are what takes longest.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F* gate, const StepMemory& memory,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    using F = typename Isa::F;
    const F half = F(0.5f);
    F x[] = {gate[0], gate[1], gate[2]}, q[3];
    quotients<Isa, Activation::sigmoid, Activation::sigmoid, Activation::tanh>(x, q);
    const F f = x[1] / q[1] + half;
    const F i_g = Isa::fma(half, q[0], x[0]) * x[2] / (q[0] * q[2]);
    const F c = Isa::fma(f, Isa::load(memory.state), i_g);
    Isa::store(memory.state, c);
    half_way[0] = c;
    half_way[1] = gate[3];
  }

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory&) {
    using F = typename Isa::F;
    F x[] = {half_way[0], half_way[1]}, q[2];
    quotients<Isa, Activation::tanh, Activation::sigmoid>(x, q);
    return Isa::fma(F(0.5f), q[1], x[1]) * x[0] / (q[1] * q[0]);
  }
};

}  // namespace bytegate::kernels
