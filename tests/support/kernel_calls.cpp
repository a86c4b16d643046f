#include "tests/support/kernel_calls.h"

#include <cstring>

namespace bytegate::testing {

detail::PackedWeights pack(const Kernels& kernels, const QuantizedWeight& weight, std::span<const float> bias) {
  const auto order = detail::ChannelOrder::identity(kernels.layout, static_cast<std::size_t>(weight.rows));
  return {kernels, kernels.layout, order, weight, bias};
}

Staging::Staging(const Kernels& kernels, std::size_t rows, std::size_t k)
    : kernels_(&kernels), k_(k), stride_(staged_stride(kernels, k)), memory_(rows * stride_), scales_(rows) {
  std::memset(memory_.data(), 0xa5, memory_.bytes());
}

void Staging::stage_integers(std::size_t r, std::span<const std::uint8_t> q, std::int32_t zero_point) {
  std::vector<float> x;
  for (std::uint8_t v : q) x.push_back(static_cast<float>(v - zero_point));
  const FloatRows rows{x.data(), k_, 1, k_};
  const RowScale fixed{1.0f, zero_point};
  StagedRows out{memory_.data() + r * stride_, stride_, &scales_[r], 1};
  kernels_->stage_rows(&rows, nullptr, &fixed, 1.0f, &out);
}

void Staging::stage(const float* x, std::size_t stride) {
  const FloatRows in{x, stride, scales_.size(), k_};
  StagedRows out = rows();
  kernels_->stage_rows(&in, nullptr, nullptr, 0.0f, &out);
}

std::vector<std::uint8_t> Staging::quantized(std::size_t r) const {
  const auto k = static_cast<std::int64_t>(k_);
  QuantizedWeight identity{k, k, std::vector<std::int8_t>(k_ * k_), std::vector<float>(k_, 1.0f)};
  for (std::size_t i = 0; i < k_; ++i) identity.data[i * (k_ + 1)] = 1;
  const detail::PackedWeights packed = pack(*kernels_, identity);
  RowScale scale = scales_[r];
  scale.scale = 1.0f;
  std::vector<float> y(k_);
  const GemmArgs args{
      {memory_.data() + r * stride_, stride_, &scale, 1}, packed.view(), y.data(), k_, k_, 0, packed.panels(), 0};
  kernels_->gemm(&args);
  std::vector<std::uint8_t> q;
  for (float v : y) q.push_back(static_cast<std::uint8_t>(v + static_cast<float>(scale.zero_point)));
  return q;
}

}  // namespace bytegate::testing
