// LSTM::forward: for each layer and direction, the input product of a chunk of steps, then the recurrence over them.
#include <algorithm>
#include <cstring>

#include "layers/lstm_core.h"

namespace bytegate::detail {
namespace {

/// Bytes of input gates that a chunk of steps may fill, so that they are still in a private L2 cache when the recurrence reads them.
constexpr std::size_t kGatesBytes = 256 * 1024;
constexpr std::size_t kLeastChunkRows = 32;  // enough to use each panel of weights several times

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

/// Calls f(FloatRows) for the rows (t, b) running at steps [first, last), in order, in as few pieces as memory allows.
template <class F>
void for_each_piece(const Call& call, const Sequence& x, std::size_t width, std::size_t first, std::size_t last, const F& f) {
  const bool uniform = !call.lengths && (call.batch == 1 || x.step == call.batch * x.batch);
  if (uniform) {
    f(FloatRows{x.row(first, 0), call.batch == 1 ? x.step : x.batch, (last - first) * call.batch, width});
    return;
  }
  for (std::size_t t = first; t < last; ++t) {
    const std::size_t running = call.running(t);
    if (!call.rows) {
      f(FloatRows{x.row(t, 0), x.batch, running, width});
      continue;
    }
    for (std::size_t row = 0; row < running; ++row) f(FloatRows{x.row(t, call.batch_index(row)), width, 1, width});
  }
}

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

/// `torch`: one scale for all the rows of these ranges.
TensorQuantizer merged_quantizer(const Scheme& scheme, const RowRange* ranges, std::size_t n) {
  RowRange range{0, 0};
  for (std::size_t i = 0; i < n; ++i) range = merge(range, ranges[i]);
  return torch_quantizer(range, scheme.activation_bits);
}

std::size_t CellRun::chunk_steps() const {
  const std::size_t rows = std::max(kLeastChunkRows, kGatesBytes / (cell_.ih.padded() * sizeof(float)));
  return std::clamp<std::size_t>(rows / call_.batch, 1, std::max<std::size_t>(call_.steps, 1));
}

TensorQuantizer CellRun::find_input_quantizer() const {
  RowRange range{0, 0};
  for_each_piece(call_, x_, width_, 0, call_.steps, [&](const FloatRows& rows) {
    for (std::size_t done = 0; done < rows.rows; done += call_.batch) {
      const FloatRows part{rows.data + done * rows.stride, rows.stride, std::min(call_.batch, rows.rows - done), rows.cols};
      call_.kernels.find_ranges(&part, ranges_);
      for (std::size_t i = 0; i < part.rows; ++i) range = merge(range, ranges_[i]);
    }
  });
  return torch_quantizer(range, call_.scheme->activation_bits);
}

void CellRun::stage_input(std::size_t first, std::size_t last) {
  input_.rows = 0;

  for_each_piece(call_, x_, width_, first, last, [&](const FloatRows& rows) {
    StagedRows part{static_cast<std::byte*>(input_.data) + input_.rows * input_.stride, input_.stride, input_.scales + input_.rows, 0};
    part.rows = rows.rows;
    if (per_tensor_) {
      torch_stage(call_.kernels, rows, input_quantizer_, part, torch_row_);
    } else {
      call_.kernels.stage_rows(&rows, nullptr, nullptr, 0.0f, &part);
    }
    input_.rows += rows.rows;
  });
}

/// Float rows into a product; `ranges` as known, or null. Returns the quantizer of the torch scheme.
TensorQuantizer CellRun::stage(const float* data, std::size_t stride, std::size_t width, std::size_t rows, const RowRange* ranges,
                    StagedRows& out) const {
  const FloatRows x{data, stride, rows, width};
  out.rows = rows;
  if (!per_tensor_) {
    call_.kernels.stage_rows(&x, ranges, nullptr, 0.0f, &out);
    return {};
  }
  const TensorQuantizer whole = merged_quantizer(*call_.scheme, ranges, rows);
  torch_stage(call_.kernels, x, whole, out, torch_row_);
  return whole;
}

/// h and c as the caller gives them, in row order.
void CellRun::start(const LSTMArgs& args, std::size_t index) {
  const std::size_t batch = call_.batch, out = call_.out_size(), hidden = call_.hidden(), units = padded_units();
  std::memset(c_, 0, batch * units * sizeof(float));
  std::memset(h_, 0, batch * out * sizeof(float));
  for (std::size_t row = 0; row < batch; ++row) {
    const std::size_t b = call_.state_row(index, row);
    if (args.h0.data) std::memcpy(h_ + row * out, args.h0.data + b * out, out * sizeof(float));
    if (args.c0.data) std::memcpy(c_ + row * units, args.c0.data + b * hidden, hidden * sizeof(float));
  }
  if (call_.steps == 0) return;  // the state goes out as it came
  if (call_.scheme) {
    const FloatRows h{h_, out, batch, out}, c{c_, units, batch, hidden};
    call_.kernels.find_ranges(&c, ranges_);
    // A row whose c holds NaN or infinity is lost from the first step on, all of it: its h gets the NaN scale.
    for (std::size_t row = 0; row < batch; ++row) {
      if (ranges_[row].lo != ranges_[row].lo) h_[row * out] = __builtin_nanf("");
    }
    call_.kernels.find_ranges(&h, ranges_);
  }
  if (!per_tensor_) stage(h_, out, out, batch, call_.scheme ? ranges_ : nullptr, staged_h_);
}

void CellRun::take_buffers(bool whole_input) {
  WorkspaceImpl& w = call_.workspace;
  const std::size_t batch = call_.batch;
  ranges_ = w.get<RowRange>(Slot::ranges, batch);
  h_ = w.get<float>(Slot::h, batch * call_.out_size());
  c_ = w.get<float>(Slot::c, batch * padded_units());
  gates_ = w.get<float>(Slot::gates, chunk_steps() * batch * cell_.ih.padded());
  const auto staged = [&](Slot data, Slot scales, std::size_t rows, const PackedWeights& weights) {
    const std::size_t stride = weights.lhs_stride();
    return StagedRows{w.get<std::byte>(data, rows * stride), stride, w.get<RowScale>(scales, rows), 0};
  };
  staged_h_ = staged(Slot::staged_h, Slot::h_scales, batch, cell_.hh);
  if (call_.config.proj_size > 0) {
    m_ = w.get<float>(Slot::m, batch * padded_units());
    staged_m_ = staged(Slot::staged_m, Slot::m_scales, batch, cell_.hr);
  }
  if (per_tensor_) {
    torch_sums_ = w.get<float>(Slot::torch_sums, batch * cell_.hh.padded());
    torch_row_ = w.get<float>(Slot::torch_row, std::max({width_, call_.out_size(), call_.hidden()}));
  }
  if (!input_.data) input_ = staged(Slot::staged_input, Slot::input_scales, (whole_input ? call_.steps : chunk_steps()) * batch, cell_.ih);
}

void CellRun::run(const LSTMArgs& args, std::size_t index, bool whole_input) {
  const std::size_t steps = call_.steps, chunk = chunk_steps(), gates_stride = cell_.ih.padded();
  const bool staged = input_.rows > 0;  // by the other direction
  if (per_tensor_ && !staged) input_quantizer_ = find_input_quantizer();
  if (whole_input && !staged) stage_input(0, steps);
  start(args, index);

  std::size_t staged_row = reverse_ ? input_.rows : 0;  // of the next step, when the whole input is staged
  for (std::size_t done = 0; done < steps;) {
    const std::size_t count = std::min(chunk, steps - done);
    const std::size_t first = reverse_ ? steps - done - count : done, last = first + count;
    done += count;
    std::size_t rows = 0;
    for (std::size_t t = first; t < last; ++t) rows += call_.running(t);
    if (!whole_input) stage_input(first, last);
    team_.wait();  // the recurrence of another thread may overwrite the input
    const std::size_t offset = !whole_input ? 0 : reverse_ ? staged_row - rows : staged_row;
    staged_row = reverse_ ? offset : offset + rows;
    const StagedRows part{static_cast<std::byte*>(input_.data) + offset * input_.stride, input_.stride, input_.scales + offset, rows};
    const GemmArgs product{part, cell_.ih.view(), gates_, gates_stride, gates_stride, panels_.begin, panels_.end, 0};
    call_.kernels.gemm(&product);

    std::size_t row = reverse_ ? rows : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t t = reverse_ ? last - 1 - i : first + i, running = call_.running(t);
      if (reverse_) row -= running;
      step(t, running, gates_ + row * gates_stride);
      if (!reverse_) row += running;
    }
  }
  finish(args, index);
}

void CellRun::step(std::size_t t, std::size_t running, const float* gates) {
  const std::size_t out = call_.out_size(), units = padded_units();
  const bool projected = call_.config.proj_size > 0;
  float* h = direct() ? y_.row(t, 0) : h_;
  const std::size_t h_stride = direct() ? y_.batch : out;
  if (per_tensor_) {
    torch_step(running, gates);
  } else {
    staged_h_.rows = running;
    RowRange* ranges = !call_.scheme ? nullptr : team_.count == 1 ? ranges_ : team_.part_ranges(t, team_.index, call_.batch);
    const LstmStepArgs args{staged_h_, cell_.hh.view(), gates, cell_.ih.padded(), c_, units, projected ? m_ : h, projected ? units : h_stride,
                            call_.hidden(), ranges, panels_.begin, panels_.end};
    call_.kernels.lstm_step(&args);
  }
  if (team_.count > 1) {
    team_.wait();
    for (std::size_t row = 0; call_.scheme && row < running; ++row) {
      RowRange range{0, 0};
      for (std::size_t thread = 0; thread < team_.count; ++thread) range = merge(range, team_.part_ranges(t, thread, call_.batch)[row]);
      ranges_[row] = range;
    }
  }
  if (projected) project(running, h, h_stride);
  if (!direct()) {
    for (std::size_t row = 0; row < running; ++row) std::memcpy(y_.row(t, call_.batch_index(row)), h_ + row * out, out * sizeof(float));
  }
  if (!per_tensor_ && !last_step(t)) stage(h, h_stride, out, running, call_.scheme && !projected ? ranges_ : nullptr, staged_h_);
}

/// The recurrent product of the running rows of h_ as float(acc), then c and h (m, before a projection) in PyTorch's arithmetic.
void CellRun::torch_step(std::size_t running, const float* gates) {
  const std::size_t out = call_.out_size(), units = padded_units(), stride = cell_.hh.padded();
  const bool projected = call_.config.proj_size > 0;
  const TensorQuantizer quantizer = stage(h_, out, out, running, ranges_, staged_h_);
  const GemmArgs product{staged_h_, cell_.hh.view(), torch_sums_, stride, stride, 0, cell_.hh.panels(), 0};
  call_.kernels.gemm(&product);
  const TorchGates x{gates, stride, input_quantizer_, cell_.ih.scales(), cell_.ih.bias()};
  const TorchGates h{torch_sums_, stride, quantizer, cell_.hh.scales(), cell_.hh.bias()};
  float* to = projected ? m_ : h_;
  const std::size_t to_stride = projected ? units : out;
  torch_lstm_step(x, h, running, call_.hidden(), call_.kernels.nr / 4, c_, units, to, to_stride);
  const FloatRows rows{to, to_stride, running, call_.hidden()};
  call_.kernels.find_ranges(&rows, ranges_);
}

/// h = weight_hr * (o * tanh(c))
void CellRun::project(std::size_t running, float* h, std::size_t h_stride) {
  const TensorQuantizer quantizer = stage(m_, padded_units(), call_.hidden(), running, call_.scheme ? ranges_ : nullptr, staged_m_);
  const GemmArgs product{staged_m_, cell_.hr.view(), h, h_stride, call_.out_size(), 0, cell_.hr.panels(), 0};
  call_.kernels.gemm(&product);
  if (per_tensor_) {
    torch_dequantize(h, running, h_stride, quantizer, cell_.hr.scales(), cell_.hr.bias(), false);
    const FloatRows rows{h, h_stride, running, call_.out_size()};
    call_.kernels.find_ranges(&rows, ranges_);
  }
}

void CellRun::finish(const LSTMArgs& args, std::size_t index) const {
  const std::size_t batch = call_.batch, out = call_.out_size(), hidden = call_.hidden(), w = call_.kernels.nr / 4;
  const std::size_t first = panels_.begin * w, last = std::min(panels_.end * w, hidden);  // units of this thread
  for (std::size_t row = 0; row < batch; ++row) {
    const std::size_t b = call_.state_row(index, row);
    const float* h = direct() && call_.steps > 0 ? y_.row(reverse_ ? 0 : call_.length(row) - 1, row) : h_ + row * out;
    if (args.hn.data && team_.index == 0) std::memcpy(args.hn.data + b * out, h, out * sizeof(float));
    if (args.cn.data && first < last) std::memcpy(args.cn.data + b * hidden + first, c_ + row * padded_units() + first, (last - first) * sizeof(float));
  }
}

/// Fills the call's row order from the caller's lengths: falling, equal ones as they come.
void order_rows(Call& call, std::span<const std::int64_t> lengths) {
  if (std::ranges::all_of(lengths, [&](std::int64_t n) { return n == static_cast<std::int64_t>(call.steps); })) return;
  auto* sorted = call.workspace.get<std::int64_t>(Slot::row_order, 2 * call.batch);
  auto* rows = sorted + call.batch;
  // By insertion: the standard library's stable sort allocates.
  for (std::size_t i = 0; i < call.batch; ++i) {
    std::size_t at = i;
    for (; at > 0 && sorted[at - 1] < lengths[i]; --at) {
      sorted[at] = sorted[at - 1];
      rows[at] = rows[at - 1];
    }
    sorted[at] = lengths[i];
    rows[at] = static_cast<std::int64_t>(i);
  }
  call.lengths = sorted;
  if (!std::is_sorted(rows, rows + call.batch)) call.rows = rows;
}

/// All layers of one thread's part of a call. Each layer after the first reads the output and writes over it. One direction stages a
/// chunk of steps before it overwrites them; two directions need the whole input staged before the first of them writes.
void run_layers(const Call& call, const Team& team, const std::vector<PackedCell>& cells, Sequence x, const Sequence& y, const LSTMArgs& args,
                bool only_take_buffers) {
  const std::int64_t directions = call.config.directions();
  for (std::int64_t layer = 0; layer < call.config.num_layers; ++layer) {
    const bool whole = directions == 2 && layer > 0;
    std::optional<CellRun> first;
    for (std::int64_t d = 0; d < directions; ++d) {
      const auto index = static_cast<std::size_t>(layer * directions + d);
      Sequence part = y;
      part.data += d * call.config.output_size();
      CellRun run(call, team, cells[index], x, static_cast<std::size_t>(call.config.layer_input_size(layer)), part, d == 1);
      if (whole && first) run.share_input(*first);
      run.take_buffers(whole);
      if (!only_take_buffers) run.run(args, index, whole);
      if (d == 0) first.emplace(run);
    }
    x = y;
  }
}

/// Multiply-adds of a step below which a barrier costs more than it gains, and of a call below which waking a thread does.
constexpr std::size_t kLeastStepMacs = std::size_t{256} << 10;
constexpr std::size_t kLeastCallMacs = std::size_t{4} << 20;

/// How a call is split over threads: by batch rows, which needs nothing of each other, or by hidden units, with a barrier a step.
struct Plan {
  std::size_t threads = 1;
  bool by_rows = false;
};

Plan make_plan(const Call& call, std::size_t threads, std::size_t panels) {
  const std::size_t step_macs = call.batch * 4 * call.hidden() * call.out_size();
  if (threads == 1 || per_tensor(call.scheme) || step_macs * call.steps < kLeastCallMacs) return {};
  const bool few = call.batch < 4 * threads;
  if (few && !call.rows && call.config.proj_size == 0 && step_macs >= kLeastStepMacs) return {std::min(threads, panels), false};
  return {std::min(threads, call.batch), true};
}

}  // namespace

void LstmCore::forward(ConstTensorView x, TensorView y, const LSTMArgs& args, WorkspaceImpl& workspace) const {
  const LSTMConfig& config = config_;
  const std::int64_t directions = config.directions(), out = config.output_size();
  const bool batched = x.shape.rank() == 3;
  check_shape((batched || x.shape.rank() == 2) && x.shape.back() == config.input_size, "LSTM: the input", x.shape,
              config.batch_first ? "[B, T, input_size] or [T, input_size]" : "[T, B, input_size] or [T, input_size]");
  const bool batch_first = batched && config.batch_first;
  const std::int64_t steps = x.shape[batch_first ? 1 : 0], batch = batched ? x.shape[batch_first ? 0 : 1] : 1;
  const std::int64_t width = directions * out;
  const Shape y_shape = x.shape.with_back(width);
  if (!(y.shape == y_shape)) check_shape(false, "LSTM: the output", y.shape, to_string(y_shape).c_str());
  check_data(x.data, "LSTM: the input", x.shape);
  check_data(y.data, "LSTM: the output", y.shape);
  const std::int64_t states = config.num_layers * directions;
  const auto check_state = [&](ConstTensorView state, std::int64_t size, const char* what) {
    if (!state.data) return;
    const Shape expected = batched ? Shape{states, batch, size} : Shape{states, size};
    if (!(state.shape == expected)) check_shape(false, what, state.shape, to_string(expected).c_str());
  };
  check_state(args.h0, out, "LSTM: h0");
  check_state(args.c0, config.hidden_size, "LSTM: c0");
  check_state(args.hn, out, "LSTM: hn");
  check_state(args.cn, config.hidden_size, "LSTM: cn");
  if (!args.lengths.empty()) {
    if (args.lengths.size() != static_cast<std::size_t>(batch)) {
      throw Error(ErrorCode::shape_mismatch,
                  "LSTM: " + std::to_string(args.lengths.size()) + " lengths for a batch of " + std::to_string(batch));
    }
    for (std::int64_t n : args.lengths) {
      if (n < 1 || n > steps) {
        throw Error(ErrorCode::invalid_argument, "LSTM: a length of " + std::to_string(n) + ", expected 1 to " + std::to_string(steps));
      }
    }
  }
  if (batch == 0) return;

  const auto whole_batch = static_cast<std::size_t>(batch), f_in = static_cast<std::size_t>(config.input_size), f_out = static_cast<std::size_t>(width);
  const auto sequence = [&](float* data, std::size_t features) {
    return batch_first ? Sequence{data, features, static_cast<std::size_t>(steps) * features} : Sequence{data, whole_batch * features, features};
  };
  const Sequence input = sequence(const_cast<float*>(x.data), f_in), output = sequence(y.data, f_out);  // the input is only read
  const auto make_call = [&](WorkspaceImpl& buffers, Part rows) {
    Call call{config, *kernels_, scheme_, buffers};
    call.steps = static_cast<std::size_t>(steps);
    call.batch = rows.end - rows.begin;
    call.first_row = rows.begin;
    call.whole_batch = whole_batch;
    if (!args.lengths.empty()) order_rows(call, args.lengths.subspan(rows.begin, call.batch));
    return call;
  };
  const Call whole = make_call(workspace, {0, whole_batch});
  for (std::size_t row = 0; row < whole.batch; ++row) {
    for (std::size_t t = whole.length(row); t < whole.steps; ++t) {
      std::memset(output.row(t, whole.batch_index(row)), 0, f_out * sizeof(float));
    }
  }

  const Plan plan = make_plan(whole, workspace.num_threads(), cells_[0].hh.panels());
  Barrier barrier(plan.threads);
  RowRange* team_ranges = workspace.get<RowRange>(Slot::team_ranges, 2 * plan.threads * whole_batch);
  const auto run_part = [&](std::size_t i, bool only_take_buffers) {
    const Part rows = plan.by_rows ? part_of(whole_batch, i, plan.threads) : Part{0, whole_batch};
    const Call call = make_call(workspace.of_thread(i), rows);
    const Team team = plan.by_rows ? Team{} : Team{plan.threads, i, &barrier, team_ranges};
    const auto from = [&](const Sequence& whole_sequence) { return Sequence{whole_sequence.row(0, rows.begin), whole_sequence.step, whole_sequence.batch}; };
    run_layers(call, team, cells_, from(input), from(output), args, only_take_buffers);
  };
  // The buffers first, on this thread, where a failure can be thrown and before anything is written.
  for (std::size_t i = 0; i < plan.threads; ++i) run_part(i, true);
  workspace.run(plan.threads, [&](std::size_t i) { run_part(i, false); });
}

LSTMResult LstmCore::forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths) const {
  const std::int64_t states = config_.num_layers * config_.directions();
  const bool batched = x.shape.rank() == 3;
  check_shape(batched || x.shape.rank() == 2, "LSTM: the input", x.shape, "three dimensions, or two without a batch");
  const std::int64_t batch = batched ? x.shape[config_.batch_first ? 0 : 1] : 1;
  const auto state_shape = [&](std::int64_t size) { return batched ? Shape{states, batch, size} : Shape{states, size}; };
  LSTMResult result{Tensor(x.shape.with_back(config_.directions() * config_.output_size())),
                    {Tensor(state_shape(config_.output_size())), Tensor(state_shape(config_.hidden_size))}};
  LSTMArgs args{{}, {}, result.state.h.view(), result.state.c.view(), lengths};
  if (state) {
    args.h0 = state->h.view();
    args.c0 = state->c.view();
  }
  Workspace workspace;
  forward(x.view(), result.output.view(), args, workspace.impl());
  return result;
}

}  // namespace bytegate::detail
