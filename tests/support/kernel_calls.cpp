#include "tests/support/kernel_calls.h"

#include <algorithm>
#include <cstring>

namespace bytegate::testing {

Staging::Staging(const Kernels& kernels, std::size_t rows, std::size_t k)
    : kernels_(&kernels),
      k_(k),
      stride_(detail::round_up((std::max<std::size_t>(k, 1) + kernels.kr - 1) / kernels.kr * kernels.kr * kernels.lhs_size, 64)),
      memory_(rows * stride_),
      scales_(rows) {
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

std::uint32_t Staging::element(std::size_t r, std::size_t i) const {
  std::uint32_t value = 0;
  std::memcpy(&value, row(r) + i * kernels_->lhs_size, kernels_->lhs_size);
  return value;
}

std::uint8_t Staging::quantized(std::size_t r, std::size_t i) const {
  // Some backends stage q - 128: what they stage for 0 tells.
  Staging zero(*kernels_, 1, 1);
  const std::uint8_t q = 0;
  zero.stage_integers(0, {&q, 1}, 0);
  return static_cast<std::uint8_t>(element(r, i) - zero.element(0, 0));
}

}  // namespace bytegate::testing
