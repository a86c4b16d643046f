// All kernels of one Isa as the table a backend points to. A backend's kernels.cpp defines its trait in an anonymous namespace, so that
// everything instantiated over it has internal linkage, and one constant:
//
//   struct Isa {
//     width                          floats in a vector
//     F, I                           vectors of float and int32
//     load store load_first store_first set add mul div fma         float; *_first touch the first n lanes only, the others read as 0
//     min max                        a < b ? a : b and a > b ? a : b: the second operand when either is NaN or both are zero
//     reduce_add reduce_min reduce_max
//     load_i set_i add_i mul_i to_float
//     store_quantized(q, v, zp)      q = clamp(round_half_even(v) + zp, 0, 255) - lhs_offset, `width` times lhs_size bytes
//     mr float_mr                    rows of a tile, int8 and float
//     nb kr lhs_size splits_minus_128   int8 geometry, as in Kernels
//     lhs_offset                     what is subtracted from staged activations
//     Int8Tile<rows>                 kernels::DotTile (with Rhs, load_lhs, load_rhs, dot, keep, independent_sums) or the backend's own
//   };
#pragma once

#include "kernels/activations.h"
#include "kernels/gemm.h"
#include "kernels/lstm_step.h"
#include "kernels/quantize.h"

namespace bytegate::kernels {

template <class Isa>
constexpr BackendKernels table() {
  BackendKernels k{};
  k.int8 = {Isa::mr, 4 * Isa::width, Isa::nb, Isa::kr, Isa::lhs_size, 1, Isa::splits_minus_128,
            find_ranges<Isa>, quantize_rows<Isa>, gemm<Isa, Int8Product<Isa>>, lstm_step<Isa, Int8Product<Isa>>};
  k.f32 = {Isa::float_mr, 4 * Isa::width, 4 * Isa::width, 1, sizeof(float), sizeof(float), 0,
           find_ranges<Isa>, copy_rows<Isa>, gemm<Isa, FloatProduct<Isa>>, lstm_step<Isa, FloatProduct<Isa>>};
  k.sigmoid = map_sigmoid<Isa>;
  k.tanh = map_tanh<Isa>;
  return k;
}

}  // namespace bytegate::kernels
