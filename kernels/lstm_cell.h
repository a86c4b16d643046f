// The equations of an LSTM cell.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

struct LstmCell {
  static constexpr int gates = cell_gates(Cell::lstm), input_gates = gates, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = true;

  /// gate: i, f, g and o (sums and input added); the state holds c. half_way: the new c, and the output gate as a
  /// quotient. i * g is one quotient, as is o * tanh(c): divisions are what takes longest.
  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F (&gate)[gates], const StepMemory& memory,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    using F = typename Isa::F;
    const F half = F(0.5f);
    F x[gates], q[gates];
    static_for<gates>([&]<int v>() BYTEGATE_LAMBDA { x[v] = gate[v]; });
    quotients<Isa, Activation::sigmoid, Activation::sigmoid, Activation::tanh, Activation::sigmoid>(x, q);
    const F f = x[1] / q[1] + half;
    const F i_g = Isa::fma(half, q[0], x[0]) * x[2] / (q[0] * q[2]);
    const F c = Isa::fma(f, Isa::load(memory.state), i_g);
    Isa::store(memory.state, c);
    half_way[0] = c;
    half_way[1] = Isa::fma(half, q[3], x[3]);
    half_way[2] = q[3];
  }

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory&) {
    typename Isa::F x[] = {half_way[0]}, q[1];
    quotients<Isa, Activation::tanh>(x, q);
    return half_way[1] * x[0] / (half_way[2] * q[0]);
  }
};

}  // namespace bytegate::kernels
