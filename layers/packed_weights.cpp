#include "layers/packed_weights.h"

#include <algorithm>
#include <cstring>

namespace bytegate::detail {

std::vector<std::int64_t> plain_order(std::int64_t rows, std::uint32_t nr) {
  std::vector<std::int64_t> order(round_up(static_cast<std::size_t>(rows), nr), -1);
  for (std::int64_t i = 0; i < rows; ++i) order[static_cast<std::size_t>(i)] = i;
  return order;
}

std::vector<std::int64_t> gate_order(std::int64_t hidden_size, std::uint32_t nr) {
  const std::int64_t w = nr / 4;
  std::vector<std::int64_t> order(round_up(static_cast<std::size_t>(hidden_size), static_cast<std::size_t>(w)) * 4, -1);
  for (std::int64_t gate = 0; gate < 4; ++gate) {
    for (std::int64_t unit = 0; unit < hidden_size; ++unit) {
      order[static_cast<std::size_t>((unit / w * 4 + gate) * w + unit % w)] = gate * hidden_size + unit;
    }
  }
  return order;
}

std::size_t PackedWeights::lhs_stride() const noexcept {
  return round_up(std::max<std::size_t>(view_.k_groups, 1) * kernels_->kr * kernels_->lhs_size, kAlignment);
}

void PackedWeights::allocate(const Kernels& kernels, std::int64_t rows, std::int64_t cols, std::size_t padded, std::size_t segments,
                             bool sums_only) {
  if (cols > static_cast<std::int64_t>(kMaxK)) {
    throw Error(ErrorCode::invalid_argument,
                "a weight of " + std::to_string(cols) + " input features: at most " + std::to_string(kMaxK) + " keep the int32 sums exact");
  }
  kernels_ = &kernels;
  rows_ = static_cast<std::size_t>(rows);
  padded_ = padded;
  const std::size_t k = static_cast<std::size_t>(cols), groups = (k + kernels.kr - 1) / kernels.kr;
  const std::size_t data_bytes = round_up(padded * segments * groups * kernels.kr * kernels.rhs_size, kAlignment);
  const std::size_t row_bytes = round_up(padded * sizeof(float), kAlignment);
  memory_ = AlignedBuffer(data_bytes + (sums_only ? 5 : 3) * row_bytes + kAlignment);  // never empty
  std::memset(memory_.data(), 0, memory_.bytes());
  std::byte* p = memory_.data() + data_bytes;
  scales_ = reinterpret_cast<float*>(p);
  sums_ = reinterpret_cast<std::int32_t*>(p + row_bytes);
  bias_ = reinterpret_cast<float*>(p + 2 * row_bytes);
  view_ = {memory_.data(), scales_, sums_, bias_, rows_, k, groups, segments};
  if (sums_only) {
    auto* ones = reinterpret_cast<float*>(p + 3 * row_bytes);
    std::fill_n(ones, padded, 1.0f);
    view_.scales = ones;
    view_.bias = reinterpret_cast<float*>(p + 4 * row_bytes);  // zeros
  }
}

std::size_t PackedWeights::index(std::size_t n, std::size_t k, std::size_t segment) const noexcept {
  const std::size_t nr = kernels_->nr, nb = kernels_->nb, kr = kernels_->kr, p = n % nr;
  return (((n / nr * view_.segments + segment) * (nr / nb) + p / nb) * view_.k_groups + k / kr) * nb * kr + p % nb * kr + k % kr;
}

void PackedWeights::set_bias(std::span<const float> bias, std::span<const std::int64_t> order) {
  for (std::size_t n = 0; n < order.size() && !bias.empty(); ++n) {
    if (order[n] >= 0) bias_[n] = bias[static_cast<std::size_t>(order[n])];
  }
}

PackedWeights::PackedWeights(const Kernels& kernels, ConstTensorView weight, std::span<const float> bias,
                             std::span<const std::int64_t> order) {
  allocate(kernels, weight.shape[0], weight.shape[1], order.size(), 1);
  auto* data = reinterpret_cast<float*>(memory_.data());
  for (std::size_t n = 0; n < padded_; ++n) {
    if (order[n] < 0) continue;
    const float* row = weight.data + static_cast<std::size_t>(order[n]) * view_.k;
    for (std::size_t k = 0; k < view_.k; ++k) data[index(n, k, 0)] = row[k];
  }
  set_bias(bias, order);
}

PackedWeights::PackedWeights(const Kernels& kernels, const QuantizedWeight& weight, std::span<const float> bias,
                             std::span<const std::int64_t> order, bool sums_only)
    : per_tensor_(weight.scales.size() == 1) {
  const bool split = kernels.splits_minus_128 && std::find(weight.data.begin(), weight.data.end(), std::int8_t{-128}) != weight.data.end();
  allocate(kernels, weight.rows, weight.cols, order.size(), split ? 2 : 1, sums_only);
  auto* data = reinterpret_cast<std::int8_t*>(memory_.data());
  for (std::size_t n = 0; n < padded_; ++n) {
    if (order[n] < 0) continue;
    const auto source = static_cast<std::size_t>(order[n]);
    const std::int8_t* row = weight.data.data() + source * view_.k;
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < view_.k; ++k) {
      sum += row[k];
      const bool extreme = split && row[k] == -128;
      data[index(n, k, 0)] = extreme ? std::int8_t{-127} : row[k];
      if (extreme) data[index(n, k, 1)] = -1;
    }
    sums_[n] = sum;
    scales_[n] = weight.scales[per_tensor_ ? 0 : source];
  }
  set_bias(bias, order);
}

Tensor PackedWeights::unpack_floats(std::span<const std::int64_t> order) const {
  Tensor weight(Shape{static_cast<std::int64_t>(rows_), static_cast<std::int64_t>(view_.k)});
  const auto* data = static_cast<const float*>(view_.data);
  for (std::size_t n = 0; n < padded_; ++n) {
    if (order[n] < 0) continue;
    for (std::size_t k = 0; k < view_.k; ++k) weight.data[static_cast<std::size_t>(order[n]) * view_.k + k] = data[index(n, k, 0)];
  }
  return weight;
}

QuantizedWeight PackedWeights::unpack_int8(std::span<const std::int64_t> order) const {
  QuantizedWeight weight{static_cast<std::int64_t>(rows_), static_cast<std::int64_t>(view_.k), std::vector<std::int8_t>(rows_ * view_.k),
                         std::vector<float>(per_tensor_ ? 1 : rows_)};
  const auto* data = static_cast<const std::int8_t*>(view_.data);
  for (std::size_t n = 0; n < padded_; ++n) {
    if (order[n] < 0) continue;
    const auto row = static_cast<std::size_t>(order[n]);
    for (std::size_t k = 0; k < view_.k; ++k) {
      const int rest = view_.segments == 2 ? data[index(n, k, 1)] : 0;
      weight.data[row * view_.k + k] = static_cast<std::int8_t>(data[index(n, k, 0)] + rest);
    }
    weight.scales[per_tensor_ ? 0 : row] = scales_[n];
  }
  return weight;
}

std::vector<float> PackedWeights::unpack_bias(std::span<const std::int64_t> order) const {
  std::vector<float> bias(rows_);
  for (std::size_t n = 0; n < padded_; ++n) {
    if (order[n] >= 0) bias[static_cast<std::size_t>(order[n])] = bias_[n];
  }
  return bias;
}

}  // namespace bytegate::detail
