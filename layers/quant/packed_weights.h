// A weight matrix in a backend's panels, and back.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/weight.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "layers/core/buffer.h"

namespace bytegate::detail {

/// Which row of a weight matrix each channel of its panels holds.
class ChannelOrder {
 public:
  /// Channel n holds row n.
  static ChannelOrder identity(const PackedLayout& layout, std::size_t rows) noexcept {
    return {padded_channels(layout, rows), rows, 0, 1};
  }
  /// The rows [gates * hidden_size] of a recurrent weight in the order of gate_channel, with `units` hidden units a
  /// panel.
  static ChannelOrder interleaved_gates(const PackedLayout& layout, std::uint32_t units, std::uint32_t gates,
                                        std::size_t hidden_size) noexcept {
    return {padded_channels(layout, gate_channels(units, gates, hidden_size)), hidden_size, units, gates};
  }

  std::size_t channels() const noexcept { return channels_; }  ///< with padding, whole panels
  std::size_t rows() const noexcept { return size_ * gates_; }
  /// -1 for padding.
  std::int64_t row(std::size_t channel) const noexcept {
    if (units_ == 0) return channel < size_ ? static_cast<std::int64_t>(channel) : -1;
    return gate_row(units_, gates_, size_, channel);
  }
  std::size_t channel(std::size_t row) const noexcept {
    return units_ == 0 ? row : gate_channel(units_, gates_, row / size_, row % size_);
  }

 private:
  ChannelOrder(std::size_t channels, std::size_t size, std::uint32_t units, std::uint32_t gates) noexcept
      : channels_(channels), size_(size), units_(units), gates_(gates) {}

  std::size_t channels_;
  std::size_t size_;
  std::uint32_t units_;  ///< of a panel; 0: identity
  std::uint32_t gates_;
};

/// Weights come from memory if so many bytes of them are read from one use of a matrix to the next: these do not stay
/// in L2, and seldom in the caches that other cores use, too.
constexpr std::size_t kBytesFromMemory = std::size_t{6} << 20;

/// Immutable after construction.
class PackedWeights {
 public:
  /// Reads `weight` [order.rows(), cols] once, in pieces. bias [order.rows()] or empty. With `raw_accumulators`, view()
  /// has scales of 1 and no bias, so that the kernels' output is float(acc); scales() and bias() are still the real
  /// ones. Throws Error (invalid_argument) for more than kMaxK columns, and for quantized weights of an output feature
  /// whose sum is beyond kMaxWeightSum.
  PackedWeights(const Kernels& kernels, const PackedLayout& layout, const ChannelOrder& order, const Weight& weight,
                std::span<const float> bias, bool raw_accumulators = false);

  const PackedMatrix& view() const noexcept { return view_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  const float* scales() const noexcept { return scales_; }  ///< [channels()]
  const float* bias() const noexcept { return bias_; }      ///< [channels()]
  std::size_t channels() const noexcept { return order_.channels(); }
  std::size_t panel_channels() const noexcept { return layout_.panel_channels; }
  std::size_t panels() const noexcept { return panels_; }
  std::size_t panel_bytes() const noexcept { return panel_bytes_; }
  std::size_t bytes() const noexcept { return panels_ * panel_bytes_; }
  const void* panel(std::size_t i) const noexcept {
    return static_cast<const std::byte*>(view_.data) + i * panel_bytes_;
  }
  /// Bytes of a staged activation row.
  std::size_t lhs_stride() const noexcept { return lhs_stride_; }

  /// The matrix that was packed, with the same values; it refers to this object, which `owner` keeps alive.
  Weight unpack(std::shared_ptr<const void> owner) const;
  std::vector<float> unpack_bias() const;

 private:
  void allocate(bool raw_accumulators);
  void pack_int8(const Weight& weight);
  void pack_floats(const Weight& weight);

  const Kernels* kernels_;
  PackedLayout layout_;
  ChannelOrder order_;
  bool one_scale_ = false;  ///< of the whole matrix
  AlignedBuffer memory_;
  float* scales_ = nullptr;
  std::int32_t* sums_ = nullptr;
  float* bias_ = nullptr;
  PackedMatrix view_{};
  // Quotients, too slow for every call.
  std::size_t panels_, panel_bytes_, lhs_stride_;
};

}  // namespace bytegate::detail
