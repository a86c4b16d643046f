// The input product of a chunk of steps, then the recurrence over them.
#include "layers/lstm_cell_run.h"

#include <algorithm>
#include <cstring>

namespace bytegate::detail::lstm {
namespace {

/// Bytes of input gates that a chunk of steps may fill, so that they are still in a private L2 cache when the recurrence reads them.
constexpr std::size_t kGatesBytes = 256 * 1024;
constexpr std::size_t kLeastChunkRows = 32;  // enough to use each panel of weights several times

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

/// `torch`: one scale for all the rows of these ranges.
TensorQuantizer merged_quantizer(const Scheme& scheme, const RowRange* ranges, std::size_t n) {
  RowRange range{0, 0};
  for (std::size_t i = 0; i < n; ++i) range = merge(range, ranges[i]);
  return torch_quantizer(range, scheme.activation_bits);
}

}  // namespace

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

}  // namespace bytegate::detail::lstm
