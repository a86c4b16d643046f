// The equation of a plain recurrent cell.
#pragma once

#include "kernels/cell.h"

namespace bytegate::kernels {

struct RnnCell {
  static constexpr int gates = cell_gates(Cell::rnn), input_gates = gates, first_gate = 0, own_bias = gates;
  static constexpr bool has_state = false;

  template <VectorIsa Isa>
  static BYTEGATE_INLINE void open(const typename Isa::F* gate, const StepMemory&,
                                   typename Isa::F (&half_way)[kHalfWay]) {
    half_way[0] = gate[0];
  }

  template <VectorIsa Isa>
  static BYTEGATE_INLINE typename Isa::F close(const typename Isa::F (&half_way)[kHalfWay], const StepMemory& memory) {
    return act<Isa>(half_way[0], memory.relu);
  }
};

}  // namespace bytegate::kernels
