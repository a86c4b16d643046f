// LSTM::forward: checks, the split over threads, and the layers one after the other.
#include <algorithm>
#include <cstring>

#include "layers/lstm_cell_run.h"

namespace bytegate::detail {
namespace {

using lstm::Call;
using lstm::CellRun;
using lstm::Sequence;
using lstm::Team;

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
