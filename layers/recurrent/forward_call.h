// One call of a recurrent layer, as its threads see it.
#pragma once

#include <bytegate/recurrent.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "layers/core/workspace_impl.h"
#include "layers/recurrent/recurrent_kind.h"

namespace bytegate::detail {

/// A batch of sequences in memory: row (t, b) starts at data + t * step + b * batch.
struct SequenceView {
  float* data;
  std::size_t step;
  std::size_t batch;

  float* row(std::size_t t, std::size_t b) const noexcept { return data + t * step + b * batch; }
};

/// The batch rows of a call, or of one thread's part of it. Where their lengths differ they are in the order of falling
/// length, so that the rows active at a step come first.
struct BatchRows {
  std::size_t count = 0;
  std::size_t first = 0;                  ///< of this part in the caller's batch, or in `order`
  std::size_t stride = 1;                 ///< of this part in `order`
  const std::int64_t* order = nullptr;    ///< batch indices by falling length
  bool permuted = false;                  ///< whether batch_index(row) is not first + row
  const std::int64_t* lengths = nullptr;  ///< by batch index; null: all rows have all steps

  std::size_t batch_index(std::size_t row) const noexcept {
    return permuted ? static_cast<std::size_t>(order[first + row * stride]) : first + row;
  }
};

/// What stays the same during one call on one thread.
struct ForwardCall {
  const RecurrentKind& kind;
  const RecurrentConfig& config;
  const Kernels& kernels;
  const std::optional<Scheme>& scheme;
  WorkspaceImpl& workspace;
  BatchRows rows;
  std::size_t steps;
  std::size_t whole_batch;   ///< of the caller
  std::size_t weight_bytes;  ///< of all layers and directions

  std::size_t batch() const noexcept { return rows.count; }
  bool ragged() const noexcept { return rows.lengths != nullptr; }
  bool permuted() const noexcept { return rows.permuted; }
  std::size_t hidden() const noexcept { return static_cast<std::size_t>(config.hidden_size); }
  std::size_t out_size() const noexcept { return static_cast<std::size_t>(config.output_size()); }
  std::size_t batch_index(std::size_t row) const noexcept { return rows.batch_index(row); }
  /// The row of a state tensor, [states, whole batch, ...].
  std::size_t state_row(std::size_t state, std::size_t row) const noexcept {
    return state * whole_batch + batch_index(row);
  }
  std::size_t length(std::size_t row) const noexcept {
    return ragged() ? static_cast<std::size_t>(rows.lengths[batch_index(row)]) : steps;
  }
  /// Rows whose sequences are longer than t.
  std::size_t active_rows(std::size_t t) const noexcept {
    std::size_t n = batch();
    while (n > 0 && length(n - 1) <= t) --n;
    return n;
  }
};

/// The threads that compute one recurrence together, each a part of the hidden units.
struct ThreadTeam {
  std::size_t count = 1;
  std::size_t index = 0;
  Barrier* barrier = nullptr;
  RowRange* ranges = nullptr;  ///< [2, count, batch]: of each thread's part of h, in even and odd kernel calls

  RowRange* part_ranges(std::size_t call, std::size_t thread, std::size_t batch) const noexcept {
    return ranges + ((call % 2) * count + thread) * batch;
  }
  void wait() const noexcept {
    if (count > 1) barrier->wait();
  }
};

}  // namespace bytegate::detail
