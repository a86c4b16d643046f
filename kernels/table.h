// All kernels of one backend as the table that its descriptor points to. A backend's kernels.cpp defines one constant
// with it.
#pragma once

#include "kernels/activations.h"
#include "kernels/gemm.h"
#include "kernels/gru_cell.h"
#include "kernels/lstm_cell.h"
#include "kernels/quantize.h"
#include "kernels/recurrent_step.h"
#include "kernels/rnn_cell.h"

namespace bytegate::kernels {

/// The kernels of int8 weights.
template <Int8Product Isa>
constexpr Kernels int8_kernels() {
  using Product = QuantizedProduct<Isa>;
  return {.mr = Isa::mr,
          .l2_bytes = Isa::l2_bytes,
          .layout = layout_of<Isa>,
          .lhs_size = Isa::lhs_size,
          .rhs_size = sizeof(std::int8_t),
          .sum_format = sum_format<Isa>,
          .find_ranges = find_ranges<Isa>,
          .stage_rows = quantize_rows<Isa>,
          .gemm = gemm<Product>,
          .recurrent_step = {recurrent_step<Product, LstmCell>, recurrent_step<Product, GruCell>,
                             recurrent_step<Product, RnnCell>, recurrent_step<Product, GruResetCell>,
                             recurrent_step<Product, GruCandidateCell>}};
}

/// The kernels of float weights.
template <VectorIsa Isa>
constexpr Kernels float_kernels() {
  using Product = FloatProduct<Isa>;
  constexpr std::uint32_t nr = 4 * Isa::width;
  return {.mr = Isa::float_mr,
          .layout = {nr, nr, 1, 1},
          .lhs_size = sizeof(float),
          .rhs_size = sizeof(float),
          .find_ranges = find_ranges<Isa>,
          .stage_rows = copy_rows<Isa>,
          .gemm = gemm<Product>,
          .recurrent_step = {recurrent_step<Product, LstmCell>, recurrent_step<Product, GruCell>,
                             recurrent_step<Product, RnnCell>, recurrent_step<Product, GruResetCell>,
                             recurrent_step<Product, GruCandidateCell>}};
}

/// The tables that the one of all kernels points to. Backends whose vectors are the same share what computes on floats:
/// the others `need` one of them (backend.cmake).
template <Int8Product Isa>
inline constexpr Kernels kInt8Kernels = int8_kernels<Isa>();
template <VectorIsa Isa>
inline constexpr Kernels kFloatKernels = float_kernels<Isa>();

template <Int8Product Isa>
constexpr BackendKernels table(const Kernels* f32, ElementwiseFn sigmoid, ElementwiseFn tanh) {
  return {.int8 = &kInt8Kernels<Isa>, .f32 = f32, .int4 = nullptr, .sigmoid = sigmoid, .tanh = tanh};
}

template <Int8Product Isa>
constexpr BackendKernels table() {
  return table<Isa>(&kFloatKernels<Isa>, map_sigmoid<Isa>, map_tanh<Isa>);
}

}  // namespace bytegate::kernels
