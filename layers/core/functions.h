// e^x, log and sums for layers that are no hot kernels: one order of operations, written out, with separate products
// and sums, so that every compiler and vector width gives the same bits (docs/numerics.md).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace bytegate::detail {

/// e^x = 2^n (1 + fraction), |fraction| < 0.42, with 2^n = half * other_half, which may each be at the ends of float.
struct ExpParts {
  float fraction;
  float half;
  float other_half;
};

/// x = n ln 2 + r with |r| <= 0.35, and the Taylor series of e^r - 1, whose rest is below 6e-9. NaN has fraction NaN.
/// Below -104 and above 89, e^x is 0 and infinity as it is there.
inline ExpParts exp_parts(float x) noexcept {
  constexpr float shift = 12582912.0f;                                // 1.5 * 2^23: the sum has a unit of 1
  constexpr float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;  // n * ln2_high is exact
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = x * 0x1.715476p+0f + shift;
  const float n = shifted - shift;
  const float r = (x - n * ln2_high) - n * ln2_low;
  float sum = 1.0f / 5040;
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 1.0f / 2;
  // n as an integer without a conversion, which is not defined for NaN.
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(shift);
  const std::int32_t first = exponent >> 1, second = exponent - first;
  const auto power = [](std::int32_t e) { return std::bit_cast<float>((static_cast<std::uint32_t>(e) + 127u) << 23); };
  return {r * r * sum + r, power(first), power(second)};
}

/// Within 1.5 units of the last place.
inline float exp(float x) noexcept {
  const ExpParts e = exp_parts(x);
  return (1.0f + e.fraction) * e.half * e.other_half;
}

/// e^x - 1 for x <= 0, within 2e-7 of its size.
inline float exp_minus_1(float x) noexcept {
  const ExpParts e = exp_parts(x);
  const float power = e.half * e.other_half;  // at most 1, and added before it can vanish
  return power * e.fraction + (power - 1.0f);
}

/// log(x) for a normal x > 0; NaN for NaN and infinity for infinity. x = 2^n m with m in sqrt(1/2)..sqrt(2), and the
/// series of log m in (m - 1) / (m + 1), whose rest is below 1e-15.
inline double log(double x) noexcept {
  if (!(x < 1.7976931348623157e308)) return x;
  constexpr std::uint64_t root = 0x3fe6a09e667f3bcd;  // the bits of sqrt(1/2)
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x), above = bits - root;
  const auto n = static_cast<double>(static_cast<std::int64_t>(above) >> 52);
  const double m = std::bit_cast<double>((above & 0xfffffffffffff) + root);
  const double f = (m - 1.0) / (m + 1.0), s = f * f;
  double sum = 0;
  for (int k = 19; k > 0; k -= 2) sum = sum * s + 2.0 / k;
  return n * 0x1.62e42fefa39efp-1 + sum * f;
}

/// f(0) + ... + f(n - 1) in double: eight sums of every eighth term, which are then added in pairs. Vector units of any
/// width can do it so.
template <class F>
inline double lane_sum(std::size_t n, const F& f) noexcept {
  constexpr std::size_t lanes = 8;
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(f(i + lane));
  }
  for (std::size_t lane = 0; i + lane < n; ++lane) sums[lane] += static_cast<double>(f(i + lane));
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Of n values each; y may be x.
void relu(const float* x, float* y, std::size_t n) noexcept;
void leaky_relu(const float* x, float* y, std::size_t n, float slope) noexcept;
void elu(const float* x, float* y, std::size_t n, float alpha) noexcept;
void softmax_row(const float* x, float* y, std::size_t n) noexcept;
void log_softmax_row(const float* x, float* y, std::size_t n) noexcept;
/// `weight` and `bias` are null where there is none.
void normalize_row(const float* x, float* y, std::size_t n, double eps, const float* weight,
                   const float* bias) noexcept;

}  // namespace bytegate::detail
