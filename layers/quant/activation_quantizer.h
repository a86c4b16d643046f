// How float activations become the left operand of a product.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/scheme.h>

#include <optional>

#include "layers/quant/torch_arithmetic.h"

namespace bytegate::detail {

/// The smallest range that holds both; NaN if one is.
inline RowRange merge(RowRange a, RowRange b) noexcept {
  if (a.lo != a.lo || b.lo != b.lo) return {__builtin_nanf(""), __builtin_nanf("")};
  return {b.lo < a.lo ? b.lo : a.lo, b.hi > a.hi ? b.hi : a.hi};
}

/// The smallest range that holds all, and 0.
inline RowRange merge(const RowRange* ranges, std::size_t count, RowRange range = {0, 0}) noexcept {
  for (std::size_t i = 0; i < count; ++i) range = merge(range, ranges[i]);
  return range;
}

/// The scale of one row of that range under per_row, for a layer that quantizes by itself: the formula of the kernels
/// (docs/numerics.md).
inline TensorQuantizer row_quantizer(RowRange range) noexcept {
  constexpr float shift = 12582912.0f;  // 1.5 * 2^23: the sum has a unit of 1
  constexpr float smallest = 127.5f * 0x1p-126f;
  if (!(range.lo <= 0.0f)) return {{__builtin_nanf(""), 0}, 0.0f, false};
  if (range.lo == range.hi) return {{1.0f, 0}, 1.0f, false};
  float half = 0.5f * range.hi - 0.5f * range.lo;
  if (half < smallest) half = smallest;
  const float inverse = 127.5f / half, zero_point = (-range.lo * inverse + shift) - shift;
  return {
      {half * (1.0f / 127.5f), static_cast<std::int32_t>(zero_point > 255.0f ? 255.0f : zero_point)}, inverse, false};
}

/// Stages rows for the kernels: copied for float weights, quantized with a scale a row under per_row, and with one
/// scale a tensor under PyTorch's schemes. A value; it is made for each call.
class ActivationQuantizer {
 public:
  /// No scheme: float weights.
  ActivationQuantizer(const Kernels& kernels, const std::optional<Scheme>& scheme) noexcept
      : kernels_(&kernels), bits_(scheme && scheme->is_torch() ? scheme->activation_bits() : 0) {}

  /// Whether one scale holds for a whole tensor, so that `fit` must see its range before its rows are staged.
  bool per_tensor() const noexcept { return bits_ != 0; }
  void fit(RowRange range) {
    if (per_tensor()) tensor_ = torch_quantizer(range, bits_);
  }
  const TensorQuantizer& tensor() const noexcept { return tensor_; }
  const Kernels& kernels() const noexcept { return *kernels_; }

  /// Writes the rows to out.data and their scales to out.scales, and sets out.rows. `ranges` [rows] as the caller knows
  /// them, or null. `scratch`: x.cols floats, used with one scale a tensor only.
  void stage(const FloatRows& x, const RowRange* ranges, StagedRows& out, float* scratch) const {
    if (per_tensor()) return torch_stage(*kernels_, x, tensor_, out, scratch);
    out.rows = x.rows;
    kernels_->stage_rows(&x, ranges, nullptr, 0.0f, &out);
  }

 private:
  const Kernels* kernels_;
  int bits_;
  TensorQuantizer tensor_{};
};

}  // namespace bytegate::detail
