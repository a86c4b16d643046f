// sigmoid and tanh: one algorithm, one order of operations, for every backend (docs/numerics.md has its derivation).
#pragma once

#include <cstddef>

#include "kernels/concepts.h"
#include "kernels/static_for.h"
#include "kernels/tanh_coefficients.h"

namespace bytegate::kernels {

enum class Activation { tanh, sigmoid };

/// x and q so that x / q is tanh(x), or for `sigmoid` tanh(x / 2) / 2, which is 1 / 2 less than the sigmoid: x * P(x^2)
/// and Q(x^2) of tanh_coefficients.h. Halving x and the quotient goes into the coefficients, since scaling them by
/// powers of two keeps all roundings where they are. x is clamped to where float tanh is 1; Isa::min and max return
/// their second operand when either is NaN, so NaN passes through.
///
/// Operation by operation, not vector by vector: each of x is a long chain of dependent operations, and a CPU looks
/// only so far ahead for the independent ones of another.
template <VectorIsa Isa, Activation... of, std::size_t n>
BYTEGATE_INLINE void quotients(typename Isa::F (&x)[n], typename Isa::F (&q)[n]) {
  static_assert(sizeof...(of) == n);
  using F = typename Isa::F;
  constexpr int halvings[] = {(of == Activation::sigmoid ? 1 : 0)...};
  constexpr auto power = [](int exponent) BYTEGATE_LAMBDA {
    return exponent < 0 ? 1.0f / static_cast<float>(1 << -exponent) : static_cast<float>(1 << exponent);
  };
  constexpr auto p_of = [power](int i, int halved) BYTEGATE_LAMBDA { return kTanhP[i] * power(-2 * i * halved); };
  constexpr auto q_of = [power](int i, int halved) BYTEGATE_LAMBDA { return kTanhQ[i] * power((2 - 2 * i) * halved); };
  constexpr auto each = [](const auto& f) BYTEGATE_LAMBDA { static_for<static_cast<int>(n)>(f); };
  F square[n], p[n];
  each([&]<int i>() BYTEGATE_LAMBDA {
    const float bound = kTanhBound * power(halvings[i]);
    x[i] = Isa::max(F(-bound), Isa::min(F(bound), x[i]));
  });
  each([&]<int i>() BYTEGATE_LAMBDA {
    square[i] = x[i] * x[i];
    p[i] = F(p_of(kTanhDegree, halvings[i]));
    q[i] = F(q_of(kTanhDegree, halvings[i]));
  });
  static_for<kTanhDegree>([&]<int done>() BYTEGATE_LAMBDA {
    constexpr int c = kTanhDegree - 1 - done;
    each([&]<int i>() BYTEGATE_LAMBDA { p[i] = Isa::fma(p[i], square[i], F(p_of(c, halvings[i]))); });
    each([&]<int i>() BYTEGATE_LAMBDA { q[i] = Isa::fma(q[i], square[i], F(q_of(c, halvings[i]))); });
  });
  each([&]<int i>() BYTEGATE_LAMBDA { x[i] = x[i] * p[i]; });
}

template <VectorIsa Isa, Activation... of, std::size_t n>
BYTEGATE_INLINE void activate(typename Isa::F (&x)[n]) {
  using F = typename Isa::F;
  constexpr Activation kinds[] = {of...};
  F q[n];
  quotients<Isa, of...>(x, q);
  static_for<static_cast<int>(n)>([&]<int i>() BYTEGATE_LAMBDA {
    x[i] = x[i] / q[i];
    if constexpr (kinds[i] == Activation::sigmoid) x[i] = x[i] + F(0.5f);
  });
}

template <VectorIsa Isa, Activation of>
BYTEGATE_INLINE typename Isa::F activated(typename Isa::F x) {
  typename Isa::F one[] = {x};
  activate<Isa, of>(one);
  return one[0];
}

template <VectorIsa Isa, class Function>
BYTEGATE_INLINE void map(const float* x, float* y, std::size_t n, const Function& f) {
  std::size_t i = 0;
  for (; i + Isa::width <= n; i += Isa::width) Isa::store(y + i, f(Isa::load(x + i)));
  if (i < n) Isa::store_first(y + i, f(Isa::load_first(x + i, n - i)), n - i);
}

template <VectorIsa Isa>
void map_sigmoid(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return activated<Isa, Activation::sigmoid>(v); });
}

template <VectorIsa Isa>
void map_tanh(const float* x, float* y, std::size_t n) {
  map<Isa>(x, y, n, [](typename Isa::F v) BYTEGATE_LAMBDA { return activated<Isa, Activation::tanh>(v); });
}

}  // namespace bytegate::kernels
