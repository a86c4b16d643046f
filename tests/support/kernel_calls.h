// Calls of a backend's kernels as the layers make them, with every buffer in the open.
#pragma once

#include <bytegate/backend.h>

#include <cstdint>
#include <span>
#include <vector>

#include "layers/quant/packed_weights.h"

namespace bytegate::testing {

/// A matrix packed for a backend's gemm. bias [rows] or empty.
detail::PackedWeights pack(const Kernels& kernels, const QuantizedWeight& weight, std::span<const float> bias = {});

/// Rows of activations as stage_rows leaves them. What stage_rows does not write holds 0xa5.
class Staging {
 public:
  Staging(const Kernels& kernels, std::size_t rows, std::size_t k);

  /// Row r: integers q - zero_point, staged with scale 1, so that the staged values are exactly q.
  void stage_integers(std::size_t r, std::span<const std::uint8_t> q, std::int32_t zero_point);
  /// All rows, as a layer stages them.
  void stage(const float* x, std::size_t stride);

  StagedRows rows() const { return {memory_.data(), stride_, const_cast<RowScale*>(scales_.data()), scales_.size()}; }
  const std::byte* row(std::size_t r) const { return memory_.data() + r * stride_; }
  /// The activations of row r, 0..255, whatever the form in which the backend stages them: by their product with an
  /// identity matrix.
  std::vector<std::uint8_t> quantized(std::size_t r) const;
  RowScale scale(std::size_t r) const { return scales_[r]; }

 private:
  const Kernels* kernels_;
  std::size_t k_, stride_;
  detail::AlignedBuffer memory_;
  std::vector<RowScale> scales_;
};

}  // namespace bytegate::testing
