#include "layers/conv/rows.h"

#include <algorithm>

namespace bytegate::detail {

void ConvRows::reserve(std::size_t rows, WorkspaceImpl& workspace) const {
  input_.reserve(workspace);
  output_.reserve(rows, workspace);
  if (is_scattered()) workspace.get<float>(Slot::windows, kGathered * cols_);
  if (!shares_ranges_) return;
  workspace.get<RowRange>(Slot::ranges, rows);
  workspace.get<RowRange>(Slot::step_ranges, input_.steps_of(rows));
}

RowRange ConvRows::range(const Kernels& kernels, WorkspaceImpl& workspace) const {
  return input_.range(kernels, workspace);
}

float* ConvRows::results(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const {
  return output_.results(first, count, workspace);
}

void ConvRows::finish(std::size_t first, std::size_t count, Range columns, const float* results) const {
  output_.finish(first, count, columns, results);
}

void ConvRows::stage(std::size_t first, std::size_t count, const ActivationQuantizer& quantizer, StagedRows& out,
                     float* scratch, WorkspaceImpl& workspace) const {
  for (std::size_t done = 0; done < count;) {
    const ConvInput::Piece piece = input_.piece(first + done, count - done, workspace);
    const RowRange* ranges = quantizer.per_tensor() ? nullptr : ranges_of(piece, quantizer.kernels(), workspace);
    const std::size_t at_once = is_scattered() ? kGathered : piece.count;
    for (std::size_t row = 0; row < piece.count; row += at_once) {
      const std::size_t rows = std::min(at_once, piece.count - row), to = done + row;
      StagedRows part{static_cast<std::byte*>(out.data) + to * out.stride, out.stride, out.scales + to, 0};
      quantizer.stage(windows(piece, row, rows, workspace), ranges ? ranges + row : nullptr, part, scratch);
    }
    done += piece.count;
  }
  out.rows = count;
}

/// Rows [first, first + count) of the piece: overlapping where its steps are, or gathered.
FloatRows ConvRows::windows(const ConvInput::Piece& piece, std::size_t first, std::size_t count,
                            WorkspaceImpl& workspace) const {
  const float* x = piece.data + first * input_.row_stride();
  if (!is_scattered()) return {x, input_.row_stride(), count, cols_};
  const std::size_t channels = input_.channels(), step = input_.dilation() * channels;
  auto* rows = workspace.get<float>(Slot::windows, kGathered * cols_);
  for (std::size_t row = 0; row < count; ++row, x += input_.row_stride()) {
    for (std::size_t k = 0; k < input_.kernel(); ++k)
      std::copy_n(x + k * step, channels, rows + row * cols_ + k * channels);
  }
  return {rows, cols_, count, cols_};
}

/// The ranges of the piece's rows from those of its steps, each of which is in several rows; null where it is not.
const RowRange* ConvRows::ranges_of(const ConvInput::Piece& piece, const Kernels& kernels,
                                    WorkspaceImpl& workspace) const {
  if (!shares_ranges_) return nullptr;
  auto* steps = workspace.get<RowRange>(Slot::step_ranges, piece.steps);
  auto* rows = workspace.get<RowRange>(Slot::ranges, piece.count);
  const std::size_t channels = input_.channels(), stride = input_.row_stride() / channels;
  const FloatRows x{piece.data, channels, piece.steps, channels};
  kernels.find_ranges(&x, steps);
  for (std::size_t row = 0; row < piece.count; ++row) {
    RowRange range = steps[row * stride];
    for (std::size_t k = 1; k < input_.kernel(); ++k) range = merge(range, steps[row * stride + k * input_.dilation()]);
    rows[row] = range;
  }
  return rows;
}

}  // namespace bytegate::detail
