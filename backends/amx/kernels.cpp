#include "backends/amx/isa.h"
#include "kernels/block_gemm.h"
#include "kernels/block_step.h"
#include "kernels/gru_cell.h"
#include "kernels/lstm_cell.h"
#include "kernels/rnn_cell.h"

namespace bytegate::backends {

// What needs no tile registers is avx512vnni's, whose int8 kernels run on weights packed here as they do on their own,
// or, where it computes on floats alone, avx512bw's.
extern const BackendKernels avx512vnni_kernels;
extern const Kernels avx512bw_float;
void avx512bw_sigmoid(const float* x, float* y, std::size_t n);
void avx512bw_tanh(const float* x, float* y, std::size_t n);

// For bench_kernels too, which compares it with avx512vnni's.
void amx_tile_gemm(const GemmArgs* args);
void amx_tile_gemm(const GemmArgs* args) { kernels::block_gemm<TileBlocks>(args); }

namespace {

/// Rows from which tiles are faster than vpdpbusd.
constexpr std::uint32_t kTileRows = 6;
/// Up to this k a step's product is too short for them.
constexpr std::size_t kVectorStepK = 64;

void find_ranges(const FloatRows* x, RowRange* ranges) { avx512vnni_kernels.int8->find_ranges(x, ranges); }

void stage_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                StagedRows* out) {
  avx512vnni_kernels.int8->stage_rows(x, ranges, fixed_scale, fixed_inverse, out);
}

void gemm(const GemmArgs* args) {
  if (args->lhs.rows < kTileRows) return avx512vnni_kernels.int8->gemm(args);
  amx_tile_gemm(args);
}

template <Cell cell, class Equations>
void recurrent_step(const RecurrentStepArgs* args) {
  if (args->lhs.rows < kTileRows || args->rhs.k <= kVectorStepK) {
    return avx512vnni_kernels.int8->recurrent_step[static_cast<std::size_t>(cell)](args);
  }
  kernels::block_recurrent_step<TileBlocks, Equations>(args);
}

constexpr Kernels kInt8 = {
    .mr = TileBlocks::max_rows,
    .tile_rows = kTileRows,
    .tile_height = TileBlocks::tile_rows,
    .l2_bytes = Isa::l2_bytes,
    .layout = {.panel_channels = 4 * Isa::width, .block_channels = Isa::width, .kr = Isa::kr, .k_block = 64},
    .lhs_size = 1,
    .rhs_size = 1,
    .sum_format = kernels::sum_format<Isa>,
    .find_ranges = find_ranges,
    .stage_rows = stage_rows,
    .gemm = gemm,
    .recurrent_step = {recurrent_step<Cell::lstm, kernels::LstmCell>, recurrent_step<Cell::gru, kernels::GruCell>,
                       recurrent_step<Cell::rnn, kernels::RnnCell>,
                       recurrent_step<Cell::gru_reset, kernels::GruResetCell>,
                       recurrent_step<Cell::gru_candidate, kernels::GruCandidateCell>},
};

}  // namespace

extern const BackendKernels amx_kernels;
constinit const BackendKernels amx_kernels = {
    .int8 = &kInt8, .f32 = &avx512bw_float, .int4 = nullptr, .sigmoid = avx512bw_sigmoid, .tanh = avx512bw_tanh};

}  // namespace bytegate::backends
