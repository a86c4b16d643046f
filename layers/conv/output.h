// The output of a convolution, in either layout.
#pragma once

#include "layers/core/range.h"
#include "layers/core/transpose.h"
#include "layers/core/workspace_impl.h"

namespace bytegate::detail {

/// y [B, T, n] where channels are last, else [B, n, T]. Rows are output positions, sequence after sequence.
struct ConvOutput {
  float* y;
  std::size_t n;
  std::size_t steps;
  bool channels_last;

  /// Makes the buffer for `rows` rows at a time.
  void reserve(std::size_t rows, WorkspaceImpl& workspace) const { results(0, rows, workspace); }
  /// Where rows [first, first + count) are computed, [count, n].
  float* results(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const {
    return channels_last ? y + first * n : workspace.get<float>(Slot::results, count * n);
  }
  /// Puts columns of the results in their places.
  void finish(std::size_t first, std::size_t count, Range columns, const float* results) const {
    if (channels_last) return;
    for (std::size_t done = 0; done < count;) {
      const std::size_t sequence = (first + done) / steps, t = (first + done) % steps;
      const std::size_t part = count - done < steps - t ? count - done : steps - t;
      copy_matrix(results + done * n + columns.begin, 1, n, columns.size(), part,
                  y + (sequence * n + columns.begin) * steps + t, steps);
      done += part;
    }
  }
};

}  // namespace bytegate::detail
