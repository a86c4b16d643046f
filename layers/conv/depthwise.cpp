#include "layers/conv/depthwise.h"

#include <algorithm>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/row_queue.h"
#include "layers/quant/row_product.h"

namespace bytegate::detail {
namespace {

/// Rows between two looks at the output.
constexpr std::size_t kRowsAtOnce = 64;
/// Fewer multiply-adds are not worth waking a thread.
constexpr std::size_t kMinDepthwiseMacs = std::size_t{1} << 18;

}  // namespace

[[gnu::cold]] Depthwise::Depthwise(const Weight& weight, ConstTensorView bias, const Scheme& how, const Backend* on)
    : backend(&check_backend(on)),
      scheme(weight.quantized() ? std::optional(how) : std::nullopt),
      has_bias_(bias.data != nullptr),
      channels_(static_cast<std::size_t>(weight.rows())),
      kernel_(static_cast<std::size_t>(weight.cols())),
      bias_(channels_) {
  check_bias("Conv1d", weight, bias);
  if (has_bias_) std::copy_n(bias.data, channels_, bias_.data());
  if (weight.quantized()) {
    QuantizedWeight q = weight.int8s();
    ints_.resize(q.data.size());
    scales_.resize(channels_);
    for (std::size_t c = 0; c < channels_; ++c) {
      scales_[c] = q.scales[q.scales.size() == 1 ? 0 : c];
      for (std::size_t k = 0; k < kernel_; ++k) ints_[k * channels_ + c] = q.data[c * kernel_ + k];
    }
    weight_ = Weight(std::move(q));
  } else {
    Tensor w = weight.floats();
    floats_.resize(w.data.size());
    for (std::size_t c = 0; c < channels_; ++c) {
      for (std::size_t k = 0; k < kernel_; ++k) floats_[k * channels_ + c] = w.data[c * kernel_ + k];
    }
    weight_ = Weight(std::move(w));
  }
}

[[gnu::cold]] std::optional<Tensor> Depthwise::bias() const {
  if (!has_bias_) return std::nullopt;
  return Tensor(Shape{static_cast<std::int64_t>(channels_)}, bias_);
}

void Depthwise::run(const ConvInput& input, const ConvOutput& output, const Layer* next,
                    WorkspaceImpl& workspace) const {
  const std::size_t rows = input.rows();
  if (rows == 0) return;
  const FloatEnvironment environment;
  const Kernels& kernels = *backend->kernels->int8;
  ActivationQuantizer quantizer(kernels, scheme);
  if (quantizer.per_tensor()) quantizer.fit(input.range(kernels, workspace));
  const bool large = rows * channels_ * kernel_ >= kMinDepthwiseMacs && !quantizer.per_tensor();
  const std::size_t threads = large ? std::min(workspace.usable_threads(), rows) : 1;
  for (std::size_t i = 0; i < threads; ++i) {
    WorkspaceImpl& mine = workspace.of_thread(i);
    input.reserve(mine);
    output.reserve(std::min(rows, kRowsAtOnce), mine);
    mine.get<RowRange>(Slot::ranges, kernel_);
    mine.get<std::int32_t>(Slot::sums, channels_);
  }
  RowQueue queue(rows, rows, kRowsAtOnce / 4, threads);
  workspace.run(threads, [&](std::size_t i) {
    for (Range part = queue.take(); part.size() > 0; part = queue.take()) {
      run_part(input, output, part, quantizer, next, workspace.of_thread(i));
    }
  });
}

void Depthwise::run_part(const ConvInput& input, const ConvOutput& output, Range rows,
                         const ActivationQuantizer& quantizer, const Layer* next, WorkspaceImpl& workspace) const {
  for (std::size_t row = rows.begin; row < rows.end;) {
    const ConvInput::Piece piece = input.piece(row, std::min(kRowsAtOnce, rows.end - row), workspace);
    float* y = output.results(row, piece.count, workspace);
    for (std::size_t r = 0; r < piece.count; ++r) {
      const float* x = piece.data + r * input.row_stride();
      const std::size_t step = input.dilation() * channels_;
      if (scheme)
        int8_row(x, step, quantizer, y + r * channels_, workspace);
      else
        float_row(x, step, y + r * channels_);
    }
    if (quantizer.per_tensor()) {
      torch_dequantize(y, piece.count, channels_, quantizer.tensor(), scales_.data(), bias_.data(), false);
    }
    if (next) next->apply(y, y, piece.count * channels_);
    output.finish(row, piece.count, {0, channels_}, y);
    row += piece.count;
  }
}

/// Products and sums one by one in the order of k.
void Depthwise::float_row(const float* x, std::size_t step, float* __restrict y) const {
  const std::size_t channels = channels_;
  std::fill_n(y, channels, 0.0f);
  const float* w = floats_.data();
  for (std::size_t k = 0; k < kernel_; ++k, x += step, w += channels) {
    for (std::size_t c = 0; c < channels; ++c) y[c] = y[c] + x[c] * w[c];
  }
  for (std::size_t c = 0; c < channels; ++c) y[c] = y[c] + bias_[c];
}

namespace {

/// sums += (q - zero_point) * w, where q = clamp(round(x * inverse + before) + after, 0, 255) and x * inverse + before
/// saturates as a fixed scale does.
void add_products(const float* x, const TensorQuantizer& quantizer, const std::int32_t* w, std::size_t channels,
                  std::int32_t* __restrict sums) {
  constexpr float shift = 12582912.0f;  // 1.5 * 2^23: the sum has a unit of 1
  const std::int32_t zero_point = quantizer.scale.zero_point;
  const float before = quantizer.seven_bits ? static_cast<float>(zero_point) : 0.0f;
  const std::int32_t after = quantizer.seven_bits ? 0 : zero_point;
  for (std::size_t c = 0; c < channels; ++c) {
    float v = x[c] * quantizer.inverse + before;
    v = v > -256.0f ? v : -256.0f;
    v = v < 256.0f ? v : 256.0f;
    std::int32_t q = static_cast<std::int32_t>((v + shift) - shift) + after;
    q = q > 0 ? q : 0;
    q = q < 255 ? q : 255;
    sums[c] += (q - zero_point) * w[c];
  }
}

}  // namespace

/// The output under per_row; under PyTorch's schemes the sums, which are dequantized later.
void Depthwise::int8_row(const float* x, std::size_t step, const ActivationQuantizer& quantizer, float* __restrict y,
                         WorkspaceImpl& workspace) const {
  TensorQuantizer scale = quantizer.tensor();
  if (!quantizer.per_tensor()) {
    auto* ranges = workspace.get<RowRange>(Slot::ranges, kernel_);
    const FloatRows window{x, step, kernel_, channels_};
    backend->kernels->int8->find_ranges(&window, ranges);
    scale = row_quantizer(merge(ranges, kernel_));
  }
  if (scale.scale.scale != scale.scale.scale) {
    std::fill_n(y, channels_, scale.scale.scale);
    return;
  }
  auto* sums = workspace.get<std::int32_t>(Slot::sums, channels_);
  std::fill_n(sums, channels_, 0);
  for (std::size_t k = 0; k < kernel_; ++k) add_products(x + k * step, scale, &ints_[k * channels_], channels_, sums);
  if (quantizer.per_tensor()) {
    for (std::size_t c = 0; c < channels_; ++c) y[c] = static_cast<float>(sums[c]);
    return;
  }
  for (std::size_t c = 0; c < channels_; ++c) {
    y[c] = static_cast<float>(sums[c]) * (scale.scale.scale * scales_[c]) + bias_[c];
  }
}

}  // namespace bytegate::detail
