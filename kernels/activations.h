// sigmoid and tanh: one algorithm, one order of operations, for every backend (docs/numerics.md has its derivation).
#pragma once

#include <cstddef>

#include "kernels/tanh_coefficients.h"
#include "kernels/unroll.h"

namespace bytegate::kernels {

/// x * P(x^2) / Q(x^2) with x clamped to where float tanh is 1. Isa::min and max return their second operand when either is NaN,
/// so NaN passes through.
template <class Isa>
BYTEGATE_INLINE typename Isa::F tanh(typename Isa::F x) {
  using F = typename Isa::F;
  const auto c = [](float value) BYTEGATE_LAMBDA { return Isa::set(value); };
  x = Isa::max(c(-kTanhBound), Isa::min(c(kTanhBound), x));
  const F s = Isa::mul(x, x);
  F p = c(kTanhP[kTanhDegree]);
  unrolled<kTanhDegree>([&]<int i>() BYTEGATE_LAMBDA { p = Isa::fma(p, s, c(kTanhP[kTanhDegree - 1 - i])); });
  F q = c(kTanhQ[kTanhDegree]);
  unrolled<kTanhDegree>([&]<int i>() BYTEGATE_LAMBDA { q = Isa::fma(q, s, c(kTanhQ[kTanhDegree - 1 - i])); });
  return Isa::div(Isa::mul(x, p), q);
}

template <class Isa>
BYTEGATE_INLINE typename Isa::F sigmoid(typename Isa::F x) {
  const auto half = Isa::set(0.5f);
  return Isa::fma(half, tanh<Isa>(Isa::mul(half, x)), half);
}

template <class Isa, class F>
BYTEGATE_INLINE void map(const float* x, float* y, std::size_t n, const F& f) {
  std::size_t i = 0;
  for (; i + Isa::width <= n; i += Isa::width) Isa::store(y + i, f(Isa::load(x + i)));
  if (i < n) Isa::store_first(y + i, f(Isa::load_first(x + i, n - i)), n - i);
}

template <class Isa>
void map_sigmoid(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return sigmoid<Isa>(v); });
}

template <class Isa>
void map_tanh(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return tanh<Isa>(v); });
}

}  // namespace bytegate::kernels
