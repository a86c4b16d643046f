// sigmoid and tanh: one algorithm, one order of operations, for every backend (docs/numerics.md has its derivation).
#pragma once

#include <cstddef>

#include "kernels/concepts.h"
#include "kernels/static_for.h"
#include "kernels/tanh_coefficients.h"

namespace bytegate::kernels {

/// The quotient x * P(x^2) / Q(x^2) of tanh_coefficients.h for 2^-shrink * x, divided by 2^scale. Scaling coefficients
/// by powers of two keeps all roundings where they are. x is clamped to where float tanh is 1; Isa::min and max return
/// their second operand when either is NaN, so NaN passes through.
template <VectorIsa Isa, int shrink, int scale>
BYTEGATE_INLINE typename Isa::F scaled_tanh(typename Isa::F x) {
  using F = typename Isa::F;
  const auto power = [](int exponent) BYTEGATE_LAMBDA {
    return exponent < 0 ? 1.0f / static_cast<float>(1 << -exponent) : static_cast<float>(1 << exponent);
  };
  const auto coefficient = [&](const float* c, int i, int exponent)
                               BYTEGATE_LAMBDA { return F(c[i] * power(exponent - 2 * shrink * i)); };
  const float bound = kTanhBound * power(shrink);
  x = Isa::max(F(-bound), Isa::min(F(bound), x));
  const F s = x * x;
  F p = coefficient(kTanhP, kTanhDegree, 0);
  static_for<kTanhDegree>([&]<int i>()
                              BYTEGATE_LAMBDA { p = Isa::fma(p, s, coefficient(kTanhP, kTanhDegree - 1 - i, 0)); });
  F q = coefficient(kTanhQ, kTanhDegree, shrink + scale);
  static_for<kTanhDegree>(
      [&]<int i>() BYTEGATE_LAMBDA { q = Isa::fma(q, s, coefficient(kTanhQ, kTanhDegree - 1 - i, shrink + scale)); });
  return x * p / q;
}

template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F tanh(typename Isa::F x) {
  return scaled_tanh<Isa, 0, 0>(x);
}

/// tanh(x / 2) / 2 + 1 / 2
template <VectorIsa Isa>
BYTEGATE_INLINE typename Isa::F sigmoid(typename Isa::F x) {
  return scaled_tanh<Isa, 1, 1>(x) + typename Isa::F(0.5f);
}

template <VectorIsa Isa, class Function>
BYTEGATE_INLINE void map(const float* x, float* y, std::size_t n, const Function& f) {
  std::size_t i = 0;
  for (; i + Isa::width <= n; i += Isa::width) Isa::store(y + i, f(Isa::load(x + i)));
  if (i < n) Isa::store_first(y + i, f(Isa::load_first(x + i, n - i)), n - i);
}

template <VectorIsa Isa>
void map_sigmoid(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return sigmoid<Isa>(v); });
}

template <VectorIsa Isa>
void map_tanh(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return tanh<Isa>(v); });
}

}  // namespace bytegate::kernels
