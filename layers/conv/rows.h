// The windows of a convolution of one group as rows of a product.
#pragma once

#include "layers/conv/input.h"
#include "layers/conv/output.h"
#include "layers/quant/row_product.h"

namespace bytegate::detail {

/// Keeps references to both.
class ConvRows final : public ProductRows {
 public:
  ConvRows(const ConvInput& input, const ConvOutput& output, bool quantized)
      : input_(input),
        output_(output),
        cols_(input.kernel() * input.channels()),
        shares_ranges_(quantized && input.row_stride() < cols_ && input.channels() >= kSharingPays) {}

 private:
  /// Rows whose inputs are gathered at once, where they are not next to each other.
  static constexpr std::size_t kGathered = 16;
  /// Channels from which the ranges of steps are found by themselves. The step of fewer is less than a few vectors, and
  /// finding its range takes longer than reading it again in each of its rows.
  static constexpr std::size_t kSharingPays = 32;

  void reserve(std::size_t rows, WorkspaceImpl& workspace) const override;
  RowRange range(const Kernels& kernels, WorkspaceImpl& workspace) const override;
  void stage(std::size_t first, std::size_t count, const ActivationQuantizer& quantizer, StagedRows& out,
             float* scratch, WorkspaceImpl& workspace) const override;
  float* results(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const override;
  void finish(std::size_t first, std::size_t count, Range columns, const float* results) const override;

  bool is_scattered() const noexcept { return input_.dilation() > 1 && input_.kernel() > 1; }
  FloatRows windows(const ConvInput::Piece& piece, std::size_t first, std::size_t count,
                    WorkspaceImpl& workspace) const;
  const RowRange* ranges_of(const ConvInput::Piece& piece, const Kernels& kernels, WorkspaceImpl& workspace) const;

  const ConvInput& input_;
  const ConvOutput& output_;
  std::size_t cols_;
  bool shares_ranges_;
};

}  // namespace bytegate::detail
