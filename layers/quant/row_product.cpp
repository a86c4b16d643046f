#include "layers/quant/row_product.h"

#include <algorithm>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/row_queue.h"

namespace bytegate::detail {
namespace {

/// Bytes of activations staged at once, so that they stay in a cache while all the weights pass: in L1 beside weights
/// that stay in L2, otherwise a part of L2, since the weights come from beyond it for each block.
constexpr std::size_t kStagedBytes = 256 * 1024, kStagedBesideL2 = 32 * 1024;
/// Tile registers multiply two tiles of rows at a time, and their loads are wide: four are still quick beyond L1.
constexpr std::size_t kTilesAtOnce = 4;
/// A product of fewer multiply-adds is not worth waking a thread.
constexpr std::size_t kMinMacs = std::size_t{4} << 20;

const Kernels& kernels_of(const Backend& backend, const Weight& weight) {
  return weight.quantized() ? *backend.kernels->int8 : *backend.kernels->f32;
}

std::size_t block_rows(const Kernels& kernels, const PackedWeights& weights) {
  const std::size_t stride = weights.lhs_stride(), tile = kTilesAtOnce * kernels.tile_height;
  const std::size_t bytes = weights.bytes() <= kernels.l2_bytes ? kStagedBesideL2 : kStagedBytes;
  return round_up(std::clamp<std::size_t>(bytes / stride, 16, 512), std::max<std::size_t>(tile, kernels.mr));
}

}  // namespace

[[gnu::cold]] std::size_t check_bias(const char* layer, const Weight& weight, ConstTensorView bias) {
  if (!bias.data) return 0;
  const Shape expected{weight.rows()};
  const std::string what = join_text({layer, ": the bias"});
  check_shape(bias.shape == expected, what, bias.shape, expected);
  if (weight.quantized()) check_finite({bias.data, bias.shape.elements()}, what);
  return bias.shape.elements();
}

[[gnu::cold]] RowProduct::RowProduct(const char* layer, const Weight& weight, ConstTensorView bias, const Scheme& how,
                                     bool fused_relu, const Backend* on)
    : backend(&check_backend(on)),
      scheme(weight.quantized() ? std::optional(how) : std::nullopt),
      relu(fused_relu),
      has_bias(bias.data != nullptr),
      kernels_(kernels_of(*backend, weight)),
      weights(kernels_, kernels_.layout,
              ChannelOrder::identity(kernels_.layout, static_cast<std::size_t>(weight.rows())), weight,
              {bias.data, check_bias(layer, weight, bias)}, scheme && scheme->is_torch()),
      block_rows_(block_rows(kernels_, weights)) {}

[[gnu::cold]] std::optional<Tensor> RowProduct::bias() const {
  if (!has_bias) return std::nullopt;
  return Tensor(Shape{static_cast<std::int64_t>(n())}, weights.unpack_bias());
}

void RowProduct::run(const ProductRows& source, std::size_t rows, const Layer* next, WorkspaceImpl& workspace) const {
  if (rows == 0 || n() == 0) return;
  const FloatEnvironment environment;
  ActivationQuantizer quantizer(kernels_, scheme);
  const bool per_tensor = quantizer.per_tensor();
  if (per_tensor) quantizer.fit(source.range(kernels_, workspace));
  const std::size_t max = workspace.usable_threads(), panels = weights.panels();
  const bool by_rows = per_tensor || rows >= 2 * kernels_.mr * max;
  const std::size_t threads = per_tensor || rows * k() * n() < kMinMacs ? 1 : by_rows ? max : std::min(max, panels);
  const std::size_t block = std::min(rows, block_rows_);
  if (threads == 1) {
    source.reserve(block, workspace);
    return run_part(source, {0, rows}, {0, panels}, quantizer, next, workspace);
  }
  for (std::size_t i = 0; i < threads; ++i) {  // here, where failing may throw
    stage_buffer(block, workspace.of_thread(i));
    source.reserve(block, workspace.of_thread(i));
  }
  // All weights pass for each part: at least a quarter of a block.
  const std::size_t granule = kernels_.tile_height > 0 ? kernels_.tile_height : kernels_.mr;
  RowQueue queue(rows, block, round_up((block + 3) / 4, granule), threads);
  workspace.run(threads, [&](std::size_t i) {
    WorkspaceImpl& own = workspace.of_thread(i);
    if (!by_rows) return run_part(source, {0, rows}, split_range(panels, i, threads), quantizer, next, own);
    for (Range part = queue.take(); part.size() > 0; part = queue.take()) {
      run_part(source, part, {0, panels}, quantizer, next, own);
    }
  });
}

StagedRows RowProduct::stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const {
  const std::size_t stride = weights.lhs_stride();
  return {workspace.get<std::byte>(Slot::staged_input, rows * stride), stride,
          workspace.get<RowScale>(Slot::input_scales, rows), 0};
}

namespace {

/// Columns [columns.begin, columns.end) of the rows, in place.
void apply_to_columns(const Layer& next, float* y, std::size_t rows, std::size_t n, Range columns) {
  if (columns.size() == n) return next.apply(y, y, rows * n);
  for (std::size_t row = 0; row < rows; ++row) {
    float* part = y + row * n + columns.begin;
    next.apply(part, part, columns.size());
  }
}

}  // namespace

void RowProduct::run_part(const ProductRows& source, Range rows, Range panels, const ActivationQuantizer& quantizer,
                          const Layer* next, WorkspaceImpl& workspace) const {
  const std::size_t width = n(), block = std::min(rows.size(), block_rows_), panel = weights.panel_channels();
  const bool torch = quantizer.per_tensor();
  const Range columns{std::min(panels.begin * panel, width), std::min(panels.end * panel, width)};
  StagedRows staged = stage_buffer(block, workspace);
  float* scratch = torch ? workspace.get<float>(Slot::torch_row, k()) : nullptr;
  for (std::size_t row = rows.begin; row < rows.end; row += block) {
    const std::size_t count = std::min(block, rows.end - row), after = row + count;
    const std::span<const float> inputs = source.inputs(after, std::min(block, rows.end - after));
    source.stage(row, count, quantizer, staged, scratch, workspace);
    float* y = source.results(row, count, workspace);
    // Not a copy of `staged`, whose rows have just been written: loads wider than a store wait until it has retired.
    const GemmArgs args{{staged.data, staged.stride, staged.scales, count},
                        weights.view(),
                        y,
                        width,
                        width,
                        panels.begin,
                        panels.end,
                        relu && !torch,
                        std::max(weights.bytes(), workspace.model_bytes()) >= kBytesFromMemory,
                        inputs.data(),
                        inputs.size_bytes()};
    kernels_.gemm(&args);
    if (torch) torch_dequantize(y, count, width, quantizer.tensor(), weights.scales(), weights.bias(), relu);
    if (next) apply_to_columns(*next, y, count, width, columns);
    source.finish(row, count, columns, y);
  }
}

RowRange range_of_rows(const Kernels& kernels, const float* x, std::size_t rows, std::size_t k,
                       WorkspaceImpl& workspace) {
  RowRange range{0, 0};
  const std::size_t block = std::min<std::size_t>(rows, 256);
  RowRange* ranges = workspace.get<RowRange>(Slot::ranges, block);
  for (std::size_t m = 0; m < rows; m += block) {
    const FloatRows part{x + m * k, k, std::min(block, rows - m), k};
    kernels.find_ranges(&part, ranges);
    range = merge(ranges, part.rows, range);
  }
  return range;
}

}  // namespace bytegate::detail
