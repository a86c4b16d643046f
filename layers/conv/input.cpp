#include "layers/conv/input.h"

#include <algorithm>

#include "layers/core/transpose.h"
#include "layers/quant/row_product.h"

namespace bytegate::detail {
namespace {

/// Rows whose steps are copied at once.
constexpr std::size_t kCopiedRows = 64;

std::size_t size_of(std::int64_t size) noexcept { return static_cast<std::size_t>(size); }

}  // namespace

ConvInput::ConvInput(const Conv1dConfig& config, const float* x, const float* history, std::size_t batch,
                     std::size_t steps, std::size_t out_steps, std::span<const std::int64_t> lengths)
    : x_(x),
      history_(history),
      batch_(batch),
      steps_(steps),
      out_steps_(out_steps),
      channels_(size_of(config.in_channels)),
      kernel_(size_of(config.kernel_size)),
      stride_(size_of(config.stride)),
      dilation_(size_of(config.dilation)),
      in_front_(config.causal ? history_steps(config) : size_of(config.padding)),
      history_steps_(history_steps(config)),
      span_((kernel_ - 1) * dilation_ + 1),
      channels_last_(config.channels_last),
      lengths_(lengths) {}

void ConvInput::reserve(WorkspaceImpl& workspace) const {
  workspace.get<float>(Slot::steps, steps_of(std::min(kCopiedRows, std::max<std::size_t>(out_steps_, 1))) * channels_);
}

ConvInput::Piece ConvInput::piece(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const {
  const std::size_t sequence = first / out_steps_, t = first % out_steps_;
  count = std::min(count, out_steps_ - t);
  // Row t begins at step t * stride - in_front of x. Rows of which all steps are in x begin at whole_begin.
  const std::size_t whole_begin = (in_front_ + stride_ - 1) / stride_, there = length(sequence) + in_front_,
                    whole_end = there < span_ ? 0 : (there - span_) / stride_ + 1;
  if (channels_last_ && t >= whole_begin && t < whole_end) {
    count = std::min(count, whole_end - t);
    const float* data = x_ + (sequence * steps_ + t * stride_ - in_front_) * channels_;
    return {count, steps_of(count), data};
  }
  count = std::min(count, kCopiedRows);
  if (channels_last_ && t < whole_begin && whole_begin < whole_end) count = std::min(count, whole_begin - t);
  auto* steps = workspace.get<float>(Slot::steps, steps_of(count) * channels_);
  copy_steps(sequence, static_cast<std::ptrdiff_t>(t * stride_) - static_cast<std::ptrdiff_t>(in_front_),
             steps_of(count), steps);
  return {count, steps_of(count), steps};
}

/// `first` may lie in front of x; what is neither in the history nor in x is 0.
void ConvInput::copy_steps(std::size_t sequence, std::ptrdiff_t first, std::size_t count, float* out) const {
  const std::size_t before = first < 0 ? std::min(static_cast<std::size_t>(-first), count) : 0;
  if (before > 0) {
    if (history_) {
      const std::size_t from = history_steps_ - static_cast<std::size_t>(-first);
      copy_some(history_ + sequence * history_steps_ * channels_, history_steps_, from, before, out);
    } else {
      std::fill_n(out, before * channels_, 0.0f);
    }
  }
  const std::size_t from = first < 0 ? 0 : static_cast<std::size_t>(first);
  const std::size_t end = length(sequence), there = from < end ? std::min(count - before, end - from) : 0;
  if (there > 0) copy_some(x_ + sequence * steps_ * channels_, steps_, from, there, out + before * channels_);
  std::fill_n(out + (before + there) * channels_, (count - before - there) * channels_, 0.0f);
}

/// Steps of one sequence of `all` steps.
void ConvInput::copy_some(const float* from, std::size_t all, std::size_t first, std::size_t count, float* out) const {
  if (channels_last_) {
    std::copy_n(from + first * channels_, count * channels_, out);
  } else {
    copy_matrix(from + first, 1, all, count, channels_, out, channels_);
  }
}

RowRange ConvInput::range(const Kernels& kernels, WorkspaceImpl& workspace) const {
  // `all` steps from x on, the first `count` of which count.
  const auto of = [&](const float* x, std::size_t sequences, std::size_t all, std::size_t count) {
    if (channels_last_) return range_of_rows(kernels, x, sequences * count, channels_, workspace);
    RowRange range{0, 0};
    if (count == all) return range_of_rows(kernels, x, sequences * channels_, all, workspace);
    for (std::size_t row = 0; row < sequences * channels_; ++row)
      range = merge(range, range_of_rows(kernels, x + row * all, 1, count, workspace));
    return range;
  };
  RowRange range{0, 0};
  if (history_) range = of(history_, batch_, history_steps_, history_steps_);
  if (lengths_.empty()) return merge(range, of(x_, batch_, steps_, steps_));
  for (std::size_t b = 0; b < batch_; ++b) range = merge(range, of(x_ + b * steps_ * channels_, 1, steps_, length(b)));
  return range;
}

void ConvInput::keep_history(float* history) const {
  // A sequence is [history, channels], or channels times [history].
  const std::size_t sequences = channels_last_ ? batch_ : batch_ * channels_, width = channels_last_ ? channels_ : 1;
  const std::size_t kept = history_steps_ > steps_ ? history_steps_ - steps_ : 0, taken = history_steps_ - kept;
  for (std::size_t i = 0; i < sequences; ++i, history += history_steps_ * width) {
    if (kept > 0) std::copy_n(history + steps_ * width, kept * width, history);
    std::copy_n(x_ + ((i + 1) * steps_ - taken) * width, taken * width, history + kept * width);
  }
}

}  // namespace bytegate::detail
