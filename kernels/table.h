// All kernels of one backend as the table that its descriptor points to. A backend's kernels.cpp defines one constant
// with it.
#pragma once

#include "kernels/activations.h"
#include "kernels/gemm.h"
#include "kernels/lstm_cell.h"
#include "kernels/quantize.h"
#include "kernels/recurrent_step.h"

namespace bytegate::kernels {

template <Int8Product Isa>
constexpr BackendKernels table() {
  using Int8 = QuantizedProduct<Isa>;
  using Float = FloatProduct<Isa>;
  constexpr std::uint32_t nr = 4 * Isa::width;
  return {
      .int8 = {.mr = Isa::mr,
               .layout = {nr, Isa::block_channels, Isa::kr, Isa::kr},
               .lhs_size = Isa::lhs_size,
               .rhs_size = sizeof(std::int8_t),
               .find_ranges = find_ranges<Isa>,
               .stage_rows = quantize_rows<Isa>,
               .gemm = gemm<Int8>,
               .recurrent_step = {recurrent_step<Int8, LstmCell>, nullptr, nullptr}},
      .f32 = {.mr = Isa::float_mr,
              .layout = {nr, nr, 1, 1},
              .lhs_size = sizeof(float),
              .rhs_size = sizeof(float),
              .find_ranges = find_ranges<Isa>,
              .stage_rows = copy_rows<Isa>,
              .gemm = gemm<Float>,
              .recurrent_step = {recurrent_step<Float, LstmCell>, nullptr, nullptr}},
      .int4 = nullptr,
      .sigmoid = map_sigmoid<Isa>,
      .tanh = map_tanh<Isa>,
  };
}

}  // namespace bytegate::kernels
