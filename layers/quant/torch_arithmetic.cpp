#include "layers/quant/torch_arithmetic.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace bytegate::detail {
namespace {

/// e^y for |y| <= 64, within a few units of the last place of double: y = n ln 2 + r, and the Taylor series of e^r for
/// |r| <= 0.35.
double exp_of(double y) noexcept {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52: the sum has a unit of 1
  constexpr double ln2_high = 0x1.62e42fefa0000p-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
  const double n = (y * 0x1.71547652b82fep+0 + shift) - shift;
  const double r = (y - n * ln2_high) - n * ln2_low;
  double sum = 1.0;
  for (int k = 14; k > 0; --k) sum = 1.0 + sum * (r / k);
  const std::uint64_t bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(n) + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return sum * power;
}

}  // namespace

float torch_sigmoid(float x) noexcept {
  if (!(std::fabs(x) < 64.0f)) return x != x ? x : x > 0 ? 1.0f : 0.0f;
  return 1.0f / (1.0f + static_cast<float>(exp_of(-static_cast<double>(x))));  // with PyTorch's three roundings
}

float torch_tanh(float x) noexcept {
  if (!(std::fabs(x) < 32.0f)) return x != x ? x : x > 0 ? 1.0f : -1.0f;
  if (std::fabs(x) < 0x1p-12f) return x;  // x^3 / 3 is below half a unit of the last place
  const double e = exp_of(-2.0 * static_cast<double>(x));
  return static_cast<float>((1.0 - e) / (1.0 + e));
}

TensorQuantizer torch_quantizer(RowRange range, int activation_bits) {
  if (range.lo != range.lo) return {{__builtin_nanf(""), 0}, 0.0f, activation_bits == 7};
  const double qmax = activation_bits == 8 ? 255 : 127;
  double lo = range.lo, hi = range.hi;
  double scale = (hi - lo) / qmax;
  if (static_cast<float>(scale) == 0.0f || std::isinf(1.0f / static_cast<float>(scale))) scale = 0.1;
  constexpr float smallest = 6.1e-5f;
  if (scale < smallest) {  // the range is stretched to match
    const float stretch = smallest / static_cast<float>(scale);
    if (lo == 0) {
      hi = smallest * static_cast<float>(qmax);
    } else if (hi == 0) {
      lo = -smallest * static_cast<float>(qmax);
    } else {
      lo = static_cast<float>(lo) * stretch;
      hi = static_cast<float>(hi) * stretch;
    }
    scale = smallest;
  }
  // From the end of the range with the smaller rounding error.
  const double from_lo = -lo / scale, from_hi = qmax - hi / scale;
  const double zero_point = -std::fabs(lo / scale) < qmax - std::fabs(hi / scale) ? from_lo : from_hi;
  const RowScale rounded{static_cast<float>(scale),
                         static_cast<std::int32_t>(std::nearbyint(std::clamp(zero_point, 0.0, qmax)))};
  if (activation_bits == 7) return {rounded, static_cast<float>(1.0 / scale), true};
  return {rounded, 1.0f / rounded.scale, false};
}

void torch_stage(const Kernels& kernels, const FloatRows& x, const TensorQuantizer& quantizer, StagedRows& out,
                 float* row) {
  const float unit = quantizer.scale.scale == quantizer.scale.scale ? 1.0f : quantizer.scale.scale;
  out.rows = x.rows;
  if (!quantizer.seven_bits) {
    const RowScale fixed{unit, quantizer.scale.zero_point};
    kernels.stage_rows(&x, nullptr, &fixed, quantizer.inverse, &out);
    return;
  }
  // round(x * inverse + zero_point): the zero point comes before the rounding.
  const auto zero_point = static_cast<float>(quantizer.scale.zero_point);
  for (std::size_t r = 0; r < x.rows; ++r) {
    for (std::size_t i = 0; i < x.cols; ++i) row[i] = x.data[r * x.stride + i] * quantizer.inverse + zero_point;
    const FloatRows scaled{row, x.cols, 1, x.cols};
    const RowScale fixed{unit, 0};
    StagedRows part{static_cast<std::byte*>(out.data) + r * out.stride, out.stride, out.scales + r, 1};
    kernels.stage_rows(&scaled, nullptr, &fixed, 1.0f, &part);
    out.scales[r].zero_point = quantizer.scale.zero_point;
  }
}

namespace {

/// qnnpack: sum * (sx * sw) + bias. onednn: (sum + bias * k) * (1 / k), with k from the inverse scales it keeps.
float dequantize(float sum, const TensorQuantizer& q, float weight_scale, float bias) noexcept {
  if (!q.seven_bits) return sum * (q.scale.scale * weight_scale) + bias;
  const float k = q.inverse * (1.0f / weight_scale);
  return (sum + bias * k) * (1.0f / k);
}

}  // namespace

void torch_dequantize(float* y, std::size_t rows, std::size_t n, const TensorQuantizer& quantizer,
                      const float* weight_scales, const float* bias, bool relu) {
  for (std::size_t m = 0; m < rows; ++m, y += n) {
    for (std::size_t i = 0; i < n; ++i) {
      const float v = dequantize(y[i], quantizer, weight_scales[i], bias[i]);
      y[i] = relu && v < 0.0f ? 0.0f : v;
    }
  }
}

float TorchGates::at(std::size_t row, std::size_t channel) const noexcept {
  return dequantize(sums[row * stride + channel], quantizer, weight_scales[channel], bias[channel]);
}

}  // namespace bytegate::detail
