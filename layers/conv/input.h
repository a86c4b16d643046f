// The input of a convolution as steps of channels, whatever its layout, padding and state.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/conv1d.h>

#include <span>

#include "layers/core/workspace_impl.h"

namespace bytegate::detail {

/// One call: x of `batch` sequences of `steps` steps. Rows are output positions, sequence after sequence.
class ConvInput {
 public:
  /// `lengths`: the steps of each sequence, if not all have all; others count as zeros. `history`: the state [batch,
  /// history steps, channels] in the layout of x; null: zeros.
  ConvInput(const Conv1dConfig& config, const float* x, const float* history, std::size_t batch, std::size_t steps,
            std::size_t out_steps, std::span<const std::int64_t> lengths);

  std::size_t rows() const noexcept { return batch_ * out_steps_; }
  std::size_t out_steps() const noexcept { return out_steps_; }
  std::size_t channels() const noexcept { return channels_; }
  std::size_t kernel() const noexcept { return kernel_; }
  std::size_t dilation() const noexcept { return dilation_; }
  /// Floats from the first step of a row to that of the next.
  std::size_t row_stride() const noexcept { return stride_ * channels_; }

  /// The range of all inputs, the state's among them.
  RowRange range(const Kernels& kernels, WorkspaceImpl& workspace) const;

  /// Rows of one sequence whose steps are at hand: from data on, step after step, channels next to each other.
  struct Piece {
    std::size_t count;
    std::size_t steps;
    const float* data;
  };
  /// The first of the rows [first, first + count), as many as a piece may have; where x does not hold the steps as they
  /// are needed, they are copied to a buffer.
  Piece piece(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const;
  /// Steps that so many rows take.
  std::size_t steps_of(std::size_t rows) const noexcept { return (rows - 1) * stride_ + span_; }
  /// Makes the buffer for pieces.
  void reserve(WorkspaceImpl& workspace) const;

  /// The inputs before the next call, from those before this one.
  void keep_history(float* history) const;
  static std::size_t history_steps(const Conv1dConfig& config) noexcept {
    return config.causal ? static_cast<std::size_t>((config.kernel_size - 1) * config.dilation) : 0;
  }

 private:
  void copy_steps(std::size_t sequence, std::ptrdiff_t first, std::size_t count, float* out) const;
  void copy_some(const float* from, std::size_t all, std::size_t first, std::size_t count, float* out) const;

  std::size_t length(std::size_t sequence) const noexcept {
    return lengths_.empty() ? steps_ : static_cast<std::size_t>(lengths_[sequence]);
  }

  const float* x_;
  const float* history_;
  std::size_t batch_, steps_, out_steps_, channels_, kernel_, stride_, dilation_, in_front_, history_steps_;
  std::size_t span_;  ///< steps from the first input of a row to its last
  bool channels_last_;
  std::span<const std::int64_t> lengths_;
};

}  // namespace bytegate::detail
