// The input product of a chunk of steps, then the recurrence over them.
#include "layers/recurrent/cell_forward.h"

#include <algorithm>
#include <cstring>

namespace bytegate::detail {
namespace {

/// Bytes of input gates that a chunk of steps may fill, so that they are still in a private L2 cache when the
/// recurrence reads them.
constexpr std::size_t kGatesBytes = 256 * 1024;
/// Enough rows for weights that come from beyond L2 with each chunk. Tile registers multiply faster than they come.
constexpr std::size_t kMinChunkRows = 128, kMinTileChunkRows = 512;

/// Chunks are equal but for one step, and up to a quarter larger rather than one more.
std::size_t chunk_steps(const ForwardCall& call, const PackedCell& cell) {
  const bool beyond_l2 = cell.ih.bytes() + cell.hh.bytes() > call.kernels.l2_bytes;
  const std::size_t least = call.kernels.tile_rows > 0 && beyond_l2 ? kMinTileChunkRows : kMinChunkRows;
  const std::size_t rows = std::max(least, kGatesBytes / (cell.ih.channels() * sizeof(float)));
  const std::size_t most = std::max<std::size_t>((rows + rows / 4) / call.batch(), 1);
  const std::size_t chunks = std::max<std::size_t>((call.steps + most - 1) / most, 1);
  return std::max<std::size_t>((call.steps + chunks - 1) / chunks, 1);
}

/// Of a recurrent layer, padded to whole panels.
std::size_t hidden_units(const ForwardCall& call) { return round_up(call.hidden(), panel_units(call.kernels.layout)); }

bool is_torch(const ForwardCall& call) { return call.scheme && call.scheme->is_torch(); }

StagedRows staged_rows(WorkspaceImpl& workspace, Slot data, Slot scales, std::size_t rows,
                       const PackedWeights& weights) {
  const std::size_t stride = weights.lhs_stride();
  return {workspace.get<std::byte>(data, rows * stride), stride, workspace.get<RowScale>(scales, rows), 0};
}

/// The buffers of one layer and direction.
struct Buffers {
  RowRange* ranges;
  float *h, *state = nullptr, *gates, *unprojected_h = nullptr, *torch_sums = nullptr, *scratch_row = nullptr;
  StagedRows input, h_rows, unprojected_h_rows{};

  Buffers(const ForwardCall& call, const PackedCell& cell, const CellSequences& sequences) {
    WorkspaceImpl& w = call.workspace;
    const std::size_t batch = call.batch(), units = hidden_units(call), chunk = chunk_steps(call, cell);
    ranges = w.get<RowRange>(Slot::ranges, batch);
    h = w.get<float>(Slot::h, batch * call.out_size());
    if (call.kind.carried != Carried::nothing) state = w.get<float>(Slot::state, batch * units);
    gates = w.get<float>(Slot::gates, chunk * batch * cell.ih.channels());
    const std::size_t input_rows = (sequences.stage_whole_input ? call.steps : chunk) * batch;
    input = staged_rows(w, Slot::staged_input, Slot::input_scales, input_rows, cell.ih);
    h_rows = staged_rows(w, Slot::staged_h, Slot::h_scales, batch, cell.hh);
    if (cell.hr) {
      unprojected_h = w.get<float>(Slot::unprojected_h, batch * units);
      unprojected_h_rows = staged_rows(w, Slot::staged_unprojected_h, Slot::unprojected_h_scales, batch, *cell.hr);
    }
    if (is_torch(call)) {
      torch_sums = w.get<float>(Slot::torch_sums, batch * cell.hh.channels());
      scratch_row = w.get<float>(Slot::torch_row, std::max({sequences.x_width, call.out_size(), call.hidden()}));
    }
  }
};

/// Calls f(FloatRows) for the rows (t, b) active at steps [first, last), in order, in as few pieces as memory allows.
template <class F>
void for_each_piece(const ForwardCall& call, const SequenceView& x, std::size_t width, std::size_t first,
                    std::size_t last, const F& f) {
  const std::size_t batch = call.batch(), row0 = call.permuted() ? 0 : call.batch_index(0);
  if (!call.ragged() && (batch == 1 || x.step == batch * x.batch)) {
    f(FloatRows{x.row(first, row0), batch == 1 ? x.step : x.batch, (last - first) * batch, width});
    return;
  }
  for (std::size_t t = first; t < last; ++t) {
    const std::size_t active = call.active_rows(t);
    if (!call.permuted()) {
      f(FloatRows{x.row(t, row0), x.batch, active, width});
      continue;
    }
    for (std::size_t row = 0; row < active; ++row) f(FloatRows{x.row(t, call.batch_index(row)), width, 1, width});
  }
}

}  // namespace

CellForward::CellForward(const ForwardCall& call, const ThreadTeam& team, const PackedCell& cell,
                         const CellSequences& sequences)
    : call_(call),
      team_(team),
      cell_(cell),
      sequences_(sequences),
      padded_units_(hidden_units(call)),
      panels_(split_range(padded_units_ / panel_units(call.kernels.layout), team.index, team.count)),
      input_quantizer_(call.kernels, call.scheme) {
  const Buffers buffers(call, cell, sequences);  // reserved: nothing is allocated
  staged_h_ = buffers.h_rows;
  staged_unprojected_h_ = buffers.unprojected_h_rows;
  ranges_ = buffers.ranges;
  h_ = buffers.h;
  state_ = buffers.state;
  unprojected_h_ = buffers.unprojected_h;
  scratch_row_ = buffers.scratch_row;
  torch_sums_ = buffers.torch_sums;
  gates_ = buffers.gates;
  input_ = buffers.input;
}

void CellForward::reserve(const ForwardCall& call, const PackedCell& cell, const CellSequences& sequences) {
  [[maybe_unused]] const Buffers buffers(call, cell, sequences);
}

void CellForward::share_input(const CellForward& other) {
  input_ = other.input_;
  input_quantizer_ = other.input_quantizer_;
  input_is_staged_ = true;
}

bool CellForward::from_memory(const PackedWeights& weights) const noexcept {
  const std::size_t in_turn = std::max(call_.weight_bytes, call_.workspace.model_bytes());
  return (call_.steps == 1 ? in_turn : weights.bytes()) >= kBytesFromMemory;
}

RowRange CellForward::find_input_range() const {
  RowRange range{0, 0};
  const std::size_t batch = call_.batch();
  for_each_piece(call_, sequences_.x, sequences_.x_width, 0, call_.steps, [&](const FloatRows& rows) {
    for (std::size_t done = 0; done < rows.rows; done += batch) {
      const FloatRows part{rows.data + done * rows.stride, rows.stride, std::min(batch, rows.rows - done), rows.cols};
      call_.kernels.find_ranges(&part, ranges_);
      range = merge(ranges_, part.rows, range);
    }
  });
  return range;
}

void CellForward::stage_input(std::size_t first, std::size_t last) {
  input_.rows = 0;
  for_each_piece(call_, sequences_.x, sequences_.x_width, first, last, [&](const FloatRows& rows) {
    StagedRows part{static_cast<std::byte*>(input_.data) + input_.rows * input_.stride, input_.stride,
                    input_.scales + input_.rows, 0};
    input_quantizer_.stage(rows, nullptr, part, scratch_row_);
    input_.rows += rows.rows;
  });
}

/// h and the carried state as the caller passes them, rows in the call's order.
void CellForward::load_state(const RecurrentArgs& args, std::size_t index) {
  const std::size_t batch = call_.batch(), out = call_.out_size(), hidden = call_.hidden(), units = padded_units_;
  const Carried carried = call_.kind.carried;
  const float* from = carried == Carried::c ? args.c0.data : carried == Carried::h ? args.h0.data : nullptr;
  if (state_) std::memset(state_, 0, batch * units * sizeof(float));
  std::memset(h_, 0, batch * out * sizeof(float));
  for (std::size_t row = 0; row < batch; ++row) {
    const std::size_t b = call_.state_row(index, row);
    if (args.h0.data) std::memcpy(h_ + row * out, args.h0.data + b * out, out * sizeof(float));
    if (from) std::memcpy(state_ + row * units, from + b * hidden, hidden * sizeof(float));
  }
  if (call_.steps == 0 || !call_.scheme) return;
  if (carried == Carried::c) {
    // NaN or infinity anywhere in a row's c makes the whole row NaN from the first step on: its h gets the NaN scale.
    const FloatRows c{state_, units, batch, hidden};
    call_.kernels.find_ranges(&c, ranges_);
    for (std::size_t row = 0; row < batch; ++row) {
      if (ranges_[row].lo != ranges_[row].lo) h_[row * out] = __builtin_nanf("");
    }
  }
  const FloatRows h{h_, out, batch, out};
  call_.kernels.find_ranges(&h, ranges_);
}

void CellForward::run(const RecurrentArgs& args, std::size_t index) {
  const std::size_t steps = call_.steps, chunk = chunk_steps(call_, cell_), gates_stride = cell_.ih.channels();
  // The panels of the input product, of 4 vectors of channels, that hold the gates of this thread's units.
  const std::size_t gates = call_.kind.gates();
  const Range input{panels_.begin * gates / 4, (panels_.end * gates + 3) / 4};
  // The weights of the first step, on their way while the input is multiplied. A step of several rows fetches its own.
  const std::size_t recurrent_panels =
      call_.batch() == 1 ? std::min(panels_.end, cell_.hh.panels()) - panels_.begin : 0;
  const bool reverse = sequences_.reverse, whole = sequences_.stage_whole_input;
  if (!input_is_staged_) {
    if (input_quantizer_.per_tensor()) input_quantizer_.fit(find_input_range());
    if (whole) stage_input(0, steps);
  }
  load_state(args, index);
  if (steps > 0) begin();

  std::size_t staged_row = reverse ? input_.rows : 0;  // of the next step, when the whole input is staged
  for (std::size_t done = 0; done < steps;) {
    const std::size_t count = std::min(chunk, steps - done);
    const std::size_t first = reverse ? steps - done - count : done, last = first + count;
    done += count;
    std::size_t rows = 0;
    for (std::size_t t = first; t < last; ++t) rows += call_.active_rows(t);
    if (!whole) stage_input(first, last);
    team_.wait();  // the recurrence of another thread may overwrite the input
    const std::size_t offset = !whole ? 0 : reverse ? staged_row - rows : staged_row;
    staged_row = reverse ? offset : offset + rows;
    const StagedRows part{static_cast<std::byte*>(input_.data) + offset * input_.stride, input_.stride,
                          input_.scales + offset, rows};
    const GemmArgs product{part,
                           cell_.ih.view(),
                           gates_,
                           gates_stride,
                           gates_stride,
                           input.begin,
                           input.end,
                           0,
                           from_memory(cell_.ih),
                           cell_.hh.panel(panels_.begin),
                           recurrent_panels * cell_.hh.panel_bytes()};
    call_.kernels.gemm(&product);

    std::size_t row = reverse ? rows : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t t = reverse ? last - 1 - i : first + i, active = call_.active_rows(t);
      if (reverse) row -= active;
      step(t, active, gates_ + row * gates_stride);
      if (!reverse) row += active;
    }
  }
  store_state(args, index);
}

void CellForward::store_output(std::size_t t, std::size_t active) const {
  const std::size_t out = call_.out_size();
  for (std::size_t row = 0; row < active; ++row) {
    std::memcpy(sequences_.y.row(t, call_.batch_index(row)), h_ + row * out, out * sizeof(float));
  }
}

void CellForward::store_state(const RecurrentArgs& args, std::size_t index) const {
  const std::size_t out = call_.out_size(), hidden = call_.hidden(), w = panel_units(call_.kernels.layout);
  const std::size_t first = panels_.begin * w, last = std::min(panels_.end * w, hidden);  // units of this thread
  const bool in_place = writes_output_in_place() && call_.steps > 0;
  for (std::size_t row = 0; row < call_.batch(); ++row) {
    const std::size_t b = call_.state_row(index, row);
    if (args.hn.data && team_.index == 0) {
      const std::size_t end = sequences_.reverse ? 0 : call_.length(row) - 1;
      const float* h = in_place ? sequences_.y.row(end, call_.batch_index(row)) : h_ + row * out;
      std::memcpy(args.hn.data + b * out, h, out * sizeof(float));
    }
    if (args.cn.data && first < last) {
      const float* c = state_ + row * padded_units_;
      std::memcpy(args.cn.data + b * hidden + first, c + first, (last - first) * sizeof(float));
    }
  }
}

}  // namespace bytegate::detail
