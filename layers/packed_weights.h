// A weight matrix in a backend's panels, and back.
#pragma once

#include <bytegate/layers.h>

#include <span>
#include <vector>

#include "layers/buffer.h"

namespace bytegate::detail {

/// The order of a weight matrix's rows in the panels: entry i is the row that channel i holds, -1 for padding; as long as whole panels.
std::vector<std::int64_t> plain_order(std::int64_t rows, std::uint32_t nr);
/// The rows of an LSTM's weight_ih or weight_hh, [4 * hidden_size, ...] with gates i, f, g, o, as LstmStepArgs wants them.
std::vector<std::int64_t> gate_order(std::int64_t hidden_size, std::uint32_t nr);

class PackedWeights {
 public:
  PackedWeights() = default;
  /// weight [rows, cols]; bias [rows] or empty. Throws Error for cols > kMaxK.
  PackedWeights(const Kernels& kernels, ConstTensorView weight, std::span<const float> bias, std::span<const std::int64_t> order);
  /// With `sums_only` the view gives kernels scales of 1 and no bias, so that their output is float(acc); scales() and bias() have the real ones.
  PackedWeights(const Kernels& kernels, const QuantizedWeight& weight, std::span<const float> bias, std::span<const std::int64_t> order,
                bool sums_only = false);

  const PackedMatrix& view() const noexcept { return view_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  const float* scales() const noexcept { return scales_; }  ///< [padded()]
  const float* bias() const noexcept { return bias_; }      ///< [padded()]
  std::size_t panels() const noexcept { return padded_ / kernels_->nr; }
  std::size_t padded() const noexcept { return padded_; }  ///< channels, whole panels
  /// Bytes of a staged activation row.
  std::size_t lhs_stride() const noexcept;

  Tensor unpack_floats(std::span<const std::int64_t> order) const;
  QuantizedWeight unpack_int8(std::span<const std::int64_t> order) const;
  std::vector<float> unpack_bias(std::span<const std::int64_t> order) const;

 private:
  void allocate(const Kernels& kernels, std::int64_t rows, std::int64_t cols, std::size_t padded, std::size_t segments,
                bool sums_only = false);
  std::size_t index(std::size_t n, std::size_t k, std::size_t segment) const noexcept;
  void set_bias(std::span<const float> bias, std::span<const std::int64_t> order);

  const Kernels* kernels_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t padded_ = 0;
  bool per_tensor_ = false;
  AlignedBuffer memory_;
  float* scales_ = nullptr;
  std::int32_t* sums_ = nullptr;
  float* bias_ = nullptr;
  PackedMatrix view_{};
};

}  // namespace bytegate::detail
