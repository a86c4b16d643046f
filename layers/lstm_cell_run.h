// One layer and direction of a call of an LSTM.
#pragma once

#include "layers/lstm_core.h"

namespace bytegate::detail::lstm {

/// A batch of sequences in memory: row (t, b) starts at data + t * step + b * batch.
struct Sequence {
  float* data;
  std::size_t step;
  std::size_t batch;

  float* row(std::size_t t, std::size_t b) const { return data + t * step + b * batch; }
};

/// Everything that stays the same during one call. Batch rows are taken in the order of falling length, so that those still
/// running at a step come first.
struct Call {
  const LSTMConfig& config;
  const Kernels& kernels;
  const std::optional<Scheme>& scheme;
  WorkspaceImpl& workspace;
  std::size_t steps = 0, batch = 0;
  std::size_t first_row = 0, whole_batch = 0;  ///< this call may be a part of the caller's batch
  const std::int64_t* lengths = nullptr;  ///< [batch], falling, in row order; null: all `steps`
  const std::int64_t* rows = nullptr;     ///< row order -> batch index; null: the same

  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden_size); }
  std::size_t out_size() const { return static_cast<std::size_t>(config.output_size()); }
  std::size_t batch_index(std::size_t row) const { return rows ? static_cast<std::size_t>(rows[row]) : row; }
  /// The row of a state tensor, [states, whole batch, ...].
  std::size_t state_row(std::size_t state, std::size_t row) const { return state * whole_batch + first_row + batch_index(row); }
  std::size_t length(std::size_t row) const { return lengths ? static_cast<std::size_t>(lengths[row]) : steps; }
  /// Rows running at step t.
  std::size_t running(std::size_t t) const {
    std::size_t n = batch;
    while (n > 0 && length(n - 1) <= t) --n;
    return n;
  }
};

/// The threads that run a call's recurrence together: each owns a part of the hidden units.
struct Team {
  std::size_t count = 1;
  std::size_t index = 0;
  Barrier* barrier = nullptr;
  RowRange* ranges = nullptr;  ///< [2, count, batch]: of each thread's part of h, at even and odd steps

  RowRange* part_ranges(std::size_t step, std::size_t thread, std::size_t batch) const { return ranges + ((step % 2) * count + thread) * batch; }
  void wait() const noexcept {
    if (count > 1) barrier->wait();
  }
};

/// One layer and direction of a call.
class CellRun {
 public:
  CellRun(const Call& call, const Team& team, const PackedCell& cell, const Sequence& x, std::size_t width, const Sequence& y, bool reverse)
      : call_(call),
        team_(team),
        cell_(cell),
        x_(x),
        width_(width),
        y_(y),
        reverse_(reverse),
        per_tensor_(per_tensor(call.scheme)),
        panels_(part_of(cell.hh.panels(), team.index, team.count)) {}

  /// Takes the buffers from the workspace. The pointers hold until something else of the call takes a larger one.
  void take_buffers(bool whole_input);
  /// After take_buffers with the same whole_input.
  void run(const LSTMArgs& args, std::size_t index, bool whole_input);
  /// Takes the input as the other direction, run with whole_input, staged it.
  void share_input(const CellRun& other) {
    input_ = other.input_;
    input_quantizer_ = other.input_quantizer_;
  }

 private:
  std::size_t padded_units() const { return cell_.hh.padded() / 4; }
  std::size_t chunk_steps() const;
  /// Whether h goes straight to the output, where the next step finds it.
  bool direct() const { return !call_.rows && !per_tensor_; }
  bool last_step(std::size_t t) const { return reverse_ ? t == 0 : t + 1 == call_.steps; }

  TensorQuantizer find_input_quantizer() const;
  void stage_input(std::size_t first, std::size_t last);
  void start(const LSTMArgs& args, std::size_t index);
  void step(std::size_t t, std::size_t running, const float* gates);
  void torch_step(std::size_t running, const float* gates);
  void project(std::size_t running, float* h, std::size_t h_stride);
  TensorQuantizer stage(const float* data, std::size_t stride, std::size_t width, std::size_t rows, const RowRange* ranges, StagedRows& out) const;
  void finish(const LSTMArgs& args, std::size_t index) const;

  const Call& call_;
  const Team& team_;
  const PackedCell& cell_;
  Sequence x_;
  std::size_t width_;
  Sequence y_;
  bool reverse_;
  bool per_tensor_;
  Part panels_;                 ///< of this thread
  float* gates_ = nullptr;      ///< [chunk, padded channels]
  StagedRows input_{}, staged_h_{}, staged_m_{};
  TensorQuantizer input_quantizer_{};  ///< torch scheme
  float* torch_sums_ = nullptr;        ///< [batch, padded channels], torch scheme
  float* torch_row_ = nullptr;         ///< scratch for torch_stage
  RowRange* ranges_ = nullptr;         ///< [batch] of h
  float *h_ = nullptr, *c_ = nullptr, *m_ = nullptr;  ///< [batch, out_size], [batch, padded units], the same; in row order
};

}  // namespace bytegate::detail::lstm
