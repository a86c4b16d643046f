// PyTorch's float arithmetic around its int8 products, operation by operation, so that a deployed model can be
// reproduced. A last-bit difference in a float can move an activation by a quantization step, and a recurrence carries
// that on, so this path rounds where PyTorch does (a product, then a sum) and takes sigmoid and tanh from double
// precision. Plain C++: the same bits everywhere.
#pragma once

#include <bytegate/backend.h>

#include <cstddef>

namespace bytegate::detail {

/// One scale and zero point for a whole tensor. PyTorch's two engines round differently around the same quantization:
/// with 8 bits as its qnnpack engine does, with 7 bits as its onednn engine.
struct TensorQuantizer {
  RowScale scale;
  float inverse;
  bool seven_bits;
};
/// For a tensor of this range (reference: PyTorch's ChooseQuantizationParams).
TensorQuantizer torch_quantizer(RowRange range, int activation_bits);

/// Stages rows with that quantizer, and a row scale of 1 (NaN if the tensor holds NaN or infinity): with raw
/// accumulators (PackedWeights), kernels then return float(acc), and dequantization follows here. `row`: scratch of
/// x.cols floats.
void torch_stage(const Kernels& kernels, const FloatRows& x, const TensorQuantizer& quantizer, StagedRows& out,
                 float* row);

/// y = float sums, dequantized, plus bias, optionally max(0, .). weight_scales and bias have a value a column.
void torch_dequantize(float* y, std::size_t rows, std::size_t n, const TensorQuantizer& quantizer,
                      const float* weight_scales, const float* bias, bool relu);

/// What a product adds to the gates: float sums in the order of gate_channel, and weight scales and bias in that order.
struct TorchGates {
  const float* sums;  ///< [rows, stride]
  std::size_t stride;
  TensorQuantizer quantizer;
  const float* weight_scales;
  const float* bias;

  /// The product with its bias.
  float at(std::size_t row, std::size_t channel) const noexcept;
};

/// PyTorch's functions.
float torch_sigmoid(float x) noexcept;
float torch_tanh(float x) noexcept;

}  // namespace bytegate::detail
