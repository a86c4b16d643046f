// What the equations of the recurrent cells have in common.
#pragma once

#include <bytegate/backend.h>

#include "kernels/activations.h"

namespace bytegate::kernels {

/// Where a cell finds what is not in its sums, for one row and vector of hidden units.
struct StepMemory {
  float* input;  ///< the cell's first gate of the input product; the next is a vector behind
  float* state;  ///< RecurrentStepArgs::state
  bool relu;     ///< whether `act` is max(0, y)
};

/// Vectors that a cell knows half way from its gates to h, at most.
constexpr std::size_t kHalfWay = 2;

/// tanh(y) or max(0, y), in which NaN stays.
template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F act(typename Isa::F y, bool relu) {
  return relu ? Isa::max(typename Isa::F(0.0f), y) : activated<Isa, Activation::tanh>(y);
}

}  // namespace bytegate::kernels
