// What one step computes: by the backend's fused kernel, or in PyTorch's arithmetic.
#include "layers/recurrent/cell_forward.h"

namespace bytegate::detail {

KernelCellForward::KernelCellForward(const ForwardCall& call, const ThreadTeam& team, const PackedCell& cell,
                                     const CellSequences& sequences)
    : CellForward(call, team, cell, sequences),
      quantizer_(call.kernels, call.scheme),
      phases_{make_phase(cell.candidate ? Cell::gru_reset : call.kind.cell, cell.hh),
              cell.candidate ? make_phase(Cell::gru_candidate, *cell.candidate) : Phase{}},
      phase_count_(cell.candidate ? 2 : 1) {}

KernelCellForward::Phase KernelCellForward::make_phase(Cell cell, const PackedWeights& weights) const {
  return {call_.kernels.recurrent_step[static_cast<std::size_t>(cell)],
          {staged_h_, weights.view(), nullptr, cell_.ih.channels(), state_, padded_units_, unprojected_h_,
           padded_units_, call_.hidden(), call_.scheme ? ranges_ : nullptr, panels_.begin, panels_.end, 0,
           call_.config.nonlinearity == Nonlinearity::relu, from_memory(weights)}};
}

void KernelCellForward::begin() {
  const FloatRows h{h_, call_.out_size(), call_.batch(), call_.out_size()};
  quantizer_.stage(h, call_.scheme ? ranges_ : nullptr, staged_h_, scratch_row_);
}

void KernelCellForward::step(std::size_t t, std::size_t active, float* gates) {
  const std::size_t out = call_.out_size();
  const bool in_place = writes_output_in_place();
  float* h = in_place ? sequences_.y.row(t, call_.batch_index(0)) : h_;
  const std::size_t h_stride = in_place ? sequences_.y.batch : out;
  const FloatRows rows{h, h_stride, active, out};
  const RowRange* ranges = call_.scheme && !projected() ? ranges_ : nullptr;
  run_phase(phases_[0], t, active, gates, h, h_stride);
  if (phase_count_ == 2) {  // r * h is in the place of h
    quantizer_.stage(rows, ranges, staged_h_, scratch_row_);
    team_.wait();  // until all threads have read it
    run_phase(phases_[1], t, active, gates, h, h_stride);
  }
  if (projected()) project(active, h, h_stride);
  if (!in_place) store_output(t, active);
  if (is_last_step(t)) return;
  quantizer_.stage(rows, ranges, staged_h_, scratch_row_);
}

void KernelCellForward::run_phase(Phase& phase, std::size_t t, std::size_t active, float* gates, float* h,
                                  std::size_t h_stride) {
  RecurrentStepArgs& args = phase.args;
  args.lhs.rows = active;
  args.input = gates;
  args.descending = static_cast<std::uint32_t>(t % 2);
  if (!projected()) {
    args.h = h;
    args.h_stride = h_stride;
  }
  if (call_.scheme && team_.count > 1) {
    args.ranges = team_.part_ranges(kernel_calls_, team_.index, call_.batch());
  }
  phase.kernel(&args);
  if (team_.count > 1) {
    team_.wait();
    if (call_.scheme) merge_team_ranges(active);
  }
  ++kernel_calls_;
}

void KernelCellForward::merge_team_ranges(std::size_t active) {
  for (std::size_t row = 0; row < active; ++row) {
    RowRange range{0, 0};
    for (std::size_t thread = 0; thread < team_.count; ++thread) {
      range = merge(range, team_.part_ranges(kernel_calls_, thread, call_.batch())[row]);
    }
    ranges_[row] = range;
  }
}

/// h = weight_hr * (o * tanh(c))
void KernelCellForward::project(std::size_t active, float* h, std::size_t h_stride) {
  const FloatRows rows{unprojected_h_, padded_units_, active, call_.hidden()};
  quantizer_.stage(rows, call_.scheme ? ranges_ : nullptr, staged_unprojected_h_, scratch_row_);
  const GemmArgs product{
      staged_unprojected_h_, cell_.hr->view(), h, h_stride, call_.out_size(), 0, cell_.hr->panels(), 0,
      from_memory(*cell_.hr)};
  call_.kernels.gemm(&product);
}

void TorchCellForward::step(std::size_t t, std::size_t active, float* gates) {
  const std::size_t out = call_.out_size(), units = padded_units_, stride = cell_.hh.channels();
  const TensorQuantizer h_quantizer = stage(h_, out, out, active, staged_h_);
  const GemmArgs recurrent{staged_h_, cell_.hh.view(), torch_sums_, stride, stride, 0, cell_.hh.panels(), 0};
  call_.kernels.gemm(&recurrent);
  const TorchGates x{gates, cell_.ih.channels(), input_quantizer_.tensor(), cell_.ih.scales(), cell_.ih.bias()};
  const TorchGates h{torch_sums_, stride, h_quantizer, cell_.hh.scales(), cell_.hh.bias()};
  float* to = projected() ? unprojected_h_ : h_;
  const std::size_t to_stride = projected() ? units : out;
  call_.kind.torch_step({x, h, active, call_.hidden(), panel_units(call_.kernels.layout), state_, units, to, to_stride,
                         call_.config.nonlinearity == Nonlinearity::relu});
  find_ranges(to, to_stride, call_.hidden(), active);
  if (projected()) {
    const TensorQuantizer quantizer = stage(unprojected_h_, units, call_.hidden(), active, staged_unprojected_h_);
    const GemmArgs product{staged_unprojected_h_, cell_.hr->view(), h_, out, out, 0, cell_.hr->panels(), 0};
    call_.kernels.gemm(&product);
    torch_dequantize(h_, active, out, quantizer, cell_.hr->scales(), cell_.hr->bias(), false);
    find_ranges(h_, out, out, active);
  }
  store_output(t, active);
}

TensorQuantizer TorchCellForward::stage(const float* data, std::size_t stride, std::size_t width, std::size_t rows,
                                        StagedRows& out) const {
  ActivationQuantizer quantizer(call_.kernels, call_.scheme);
  quantizer.fit(merge(ranges_, rows));
  quantizer.stage(FloatRows{data, stride, rows, width}, nullptr, out, scratch_row_);
  return quantizer.tensor();
}

void TorchCellForward::find_ranges(const float* data, std::size_t stride, std::size_t width, std::size_t rows) const {
  const FloatRows x{data, stride, rows, width};
  call_.kernels.find_ranges(&x, ranges_);
}

}  // namespace bytegate::detail
