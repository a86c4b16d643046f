// The forward call of a recurrent layer: the order of ragged rows, the division among threads, and the layers one after
// the other.
#include <algorithm>
#include <cstring>
#include <optional>
#include <variant>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/recurrent/cell_forward.h"

namespace bytegate::detail {
namespace {

/// The whole batch; rows by falling length, equal lengths in the caller's order.
BatchRows order_rows(std::span<const std::int64_t> lengths, std::size_t batch, std::size_t steps,
                     WorkspaceImpl& workspace) {
  BatchRows rows{.count = batch};
  const auto full = [&](std::int64_t n) { return n == static_cast<std::int64_t>(steps); };
  if (std::ranges::all_of(lengths, full)) return rows;  // true for no lengths
  auto* order = workspace.get<std::int64_t>(Slot::row_order, batch);
  for (std::size_t i = 0; i < batch; ++i) order[i] = static_cast<std::int64_t>(i);
  const auto length = [&](std::int64_t i) { return lengths[static_cast<std::size_t>(i)]; };
  // Not std::stable_sort, which allocates.
  std::sort(order, order + batch,
            [&](std::int64_t a, std::int64_t b) { return length(a) != length(b) ? length(a) > length(b) : a < b; });
  rows.order = order;
  rows.lengths = lengths.data();
  rows.permuted = !std::is_sorted(order, order + batch);
  return rows;
}

/// How a call is divided among threads: by batch rows, which are independent, or by hidden units, with a barrier a
/// step.
struct Plan {
  std::size_t threads = 1;
  bool by_rows = false;
};

/// Multiply-adds of a step below which a barrier costs more than it gains, and of a call below which waking a thread
/// does.
constexpr std::size_t kMinStepMacs = std::size_t{256} << 10;
constexpr std::size_t kMinCallMacs = std::size_t{4} << 20;

/// Steps are short on tile registers, too.
constexpr std::size_t kMinTileStepMacs = std::size_t{4} << 20;

/// Whether a step of so many multiply-adds is rather divided by hidden units: its rows are too few, or it waits for
/// weights that come from beyond L2: each for its own units, threads read them once.
bool has_few_rows(const ForwardCall& call, std::size_t step_macs, std::size_t threads) {
  const std::size_t batch = call.batch();
  if (batch < 4 * threads && step_macs >= kMinStepMacs) return true;
  if (call.kernels.tile_height == 0 || step_macs < kMinTileStepMacs) return false;
  // A tile takes as long with fewer rows: a thread that has less than one gains nothing.
  const std::size_t tiles = call.kernels.tile_height * threads;
  return batch < tiles || (batch == tiles && step_macs / batch > call.kernels.l2_bytes);
}

Plan make_plan(const ForwardCall& call, std::uint32_t gates, std::size_t threads, std::size_t panels) {
  const std::size_t batch = call.batch(), step_macs = batch * gates * call.hidden() * call.out_size();
  const bool torch = call.scheme && call.scheme->is_torch();
  if (threads == 1 || torch || step_macs * call.steps < kMinCallMacs) return {};
  if (!call.permuted() && call.config.proj_size == 0 && has_few_rows(call, step_macs, threads)) {
    return {std::min(threads, panels), false};
  }
  return {std::min(threads, batch), true};
}

/// Part `index` of `count`. Ragged rows are dealt out in turn, so that every part has long and short sequences.
BatchRows part_of_rows(const BatchRows& whole, std::size_t index, std::size_t count) {
  BatchRows part = whole;
  if (whole.lengths) {
    part.count = (whole.count - index + count - 1) / count;
    part.first = index;
    part.stride = count;
    part.permuted = true;
    return part;
  }
  const Range range = split_range(whole.count, index, count);
  part.first = range.begin;
  part.count = range.size();
  return part;
}

/// Calls f(cell, sequences, index) for every layer and direction. Each layer after the first reads the output and
/// writes over it. One direction stages a chunk of steps before it overwrites them; two directions need the whole input
/// staged before the first of them writes.
template <class F>
void for_each_cell(const RecurrentConfig& config, const std::vector<PackedCell>& cells, const SequenceView& x,
                   const SequenceView& y, const F& f) {
  const std::int64_t directions = config.directions();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i), layer = index / directions, direction = index % directions;
    SequenceView part = y;
    part.data += direction * config.output_size();
    const CellSequences sequences{layer == 0 ? x : y, static_cast<std::size_t>(config.layer_input_size(layer)), part,
                                  direction == 1, directions == 2 && layer > 0};
    f(cells[i], sequences, i);
  }
}

/// All layers of one thread's part of a call. `make(call, team, cell, sequences)` returns the CellForward to use.
template <class Make>
void run_cells(const ForwardCall& call, const ThreadTeam& team, const std::vector<PackedCell>& cells,
               const SequenceView& x, const SequenceView& y, const RecurrentArgs& args, const Make& make) {
  using Forward = decltype(make(call, team, cells[0], std::declval<const CellSequences&>()));
  std::optional<Forward> forward_direction;  // whose staged input the reverse direction shares
  std::optional<CellSequences> its_sequences;
  for_each_cell(call.config, cells, x, y,
                [&](const PackedCell& cell, const CellSequences& sequences, std::size_t index) {
                  if (!sequences.reverse) {
                    its_sequences = sequences;
                    forward_direction.emplace(make(call, team, cell, *its_sequences));
                    return forward_direction->run(args, index);
                  }
                  Forward reverse = make(call, team, cell, sequences);
                  if (sequences.stage_whole_input) reverse.share_input(*forward_direction);
                  reverse.run(args, index);
                });
}

}  // namespace

void RecurrentCore::forward(ConstTensorView x, TensorView y, const RecurrentArgs& args,
                            WorkspaceImpl& workspace) const {
  check_call(x, y, args);
  const auto steps = static_cast<std::size_t>(this->steps(x.shape)),
             batch = static_cast<std::size_t>(this->batch(x.shape));
  if (batch == 0) return;
  const FloatEnvironment environment;
  const auto sequence = [&](float* data, std::int64_t width) {
    const auto features = static_cast<std::size_t>(width);
    return batch_first(x.shape) ? SequenceView{data, features, steps * features}
                                : SequenceView{data, batch * features, features};
  };
  const SequenceView input = sequence(const_cast<float*>(x.data), x.shape.back());  // is only read
  const SequenceView output = sequence(y.data, y.shape.back());

  const BatchRows all_rows = order_rows(args.lengths, batch, steps, workspace);
  const ForwardCall whole{kind_, config_, *kernels_, scheme_, workspace, all_rows, steps, batch, weight_bytes_};
  const Plan plan = make_plan(whole, kind_.gates(), workspace.usable_threads(), cells_[0].hh.panels());
  const auto call_of_thread = [&](std::size_t i) {
    const BatchRows rows = plan.by_rows ? part_of_rows(all_rows, i, plan.threads) : all_rows;
    return ForwardCall{kind_, config_, *kernels_, scheme_, workspace.of_thread(i), rows, steps, batch, weight_bytes_};
  };
  // Buffers first, where a failure can be thrown and nothing has been written.
  RowRange* team_ranges = workspace.get<RowRange>(Slot::team_ranges, 2 * plan.threads * batch);
  for (std::size_t i = 0; i < plan.threads; ++i) {
    const ForwardCall call = call_of_thread(i);
    for_each_cell(config_, cells_, input, output,
                  [&](const PackedCell& cell, const CellSequences& sequences, std::size_t) {
                    CellForward::reserve(call, cell, sequences);
                  });
  }
  for (std::size_t row = 0; row < batch; ++row) {
    for (std::size_t t = whole.length(row); t < steps; ++t) {
      std::memset(output.row(t, whole.batch_index(row)), 0, static_cast<std::size_t>(y.shape.back()) * sizeof(float));
    }
  }
  Barrier barrier(plan.threads);
  workspace.run(plan.threads, [&](std::size_t i) {
    const ForwardCall call = call_of_thread(i);
    const ThreadTeam team = plan.by_rows ? ThreadTeam{} : ThreadTeam{plan.threads, i, &barrier, team_ranges};
    if (scheme_ && scheme_->is_torch()) {
      run_cells(call, team, cells_, input, output, args, [](const auto&... a) { return TorchCellForward(a...); });
    } else {
      run_cells(call, team, cells_, input, output, args, [](const auto&... a) { return KernelCellForward(a...); });
    }
  });
}

}  // namespace bytegate::detail
