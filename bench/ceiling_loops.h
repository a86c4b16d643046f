// The loops behind ceiling.h, as templates over a backend's trait.
#pragma once

#include "bench/ceiling.h"
#include "kernels/static_for.h"

#if defined(__aarch64__)
#define BYTEGATE_ANY_VECTOR "+w"
#else
#define BYTEGATE_ANY_VECTOR "+v"
#endif

namespace bytegate::bench {

/// Independent sums: clearly more than the latency of a product times its rate, which only a perfect schedule fills,
/// and fewer than the registers, of which AVX-512 and Arm have 32.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSums = 20;
#else
constexpr int kSums = 12;
#endif

template <class Isa>
constexpr std::size_t kLoopMacs = kSums* Isa::width* Isa::kr;

/// Makes the compiler believe that v changed: nothing computed from it leaves a loop, and it stays in one register.
template <class Isa, class V>
BYTEGATE_INLINE void touch(V& v) {
  if constexpr (requires { v.data; }) {  // a batch
    asm volatile("" : BYTEGATE_ANY_VECTOR(v.data));
  } else if constexpr (Isa::width > 1) {
    asm volatile("" : BYTEGATE_ANY_VECTOR(v));
  } else {
    asm volatile("" : "+r"(v));
  }
}

template <class Isa>
void product_loop(std::size_t iterations) {
  alignas(64) static const std::int8_t operand[256] = {1, -2, 3};
  typename Isa::I sums[kSums];
  kernels::static_for<kSums>([&]<int i>() BYTEGATE_LAMBDA { sums[i] = typename Isa::I(0); });
  const auto a = Isa::load_lhs(reinterpret_cast<const std::uint8_t*>(operand));
  auto w = Isa::load_rhs(operand);
  for (std::size_t n = 0; n < iterations; ++n) {
    kernels::static_for<kSums>([&]<int i>() BYTEGATE_LAMBDA {
      touch<Isa>(w);
      sums[i] = Isa::dot(sums[i], a, w);
      touch<Isa>(sums[i]);  // else g++ keeps copies of some sums on the stack
    });
  }
  kernels::static_for<kSums - 1>([&]<int i>() BYTEGATE_LAMBDA { sums[0] = sums[0] + sums[i + 1]; });
  volatile float sink = Isa::reduce_max_as_signed(Isa::to_float(sums[0]));
  static_cast<void>(sink);
}

template <class Isa, int streams>
std::int32_t read_loop(const void* data, std::size_t bytes) {
  constexpr std::size_t vector = Isa::width * sizeof(std::int32_t), in_turn = 16 / streams;
  typename Isa::I sums[4];
  kernels::static_for<4>([&]<int i>() BYTEGATE_LAMBDA { sums[i] = typename Isa::I(0); });
  const auto* p = static_cast<const std::int32_t*>(data);
  const std::size_t apart = bytes / streams / sizeof *p;
  for (std::size_t at = 0; at < bytes; at += 16 * vector, p += in_turn * Isa::width) {
    kernels::static_for<16>([&]<int i>() BYTEGATE_LAMBDA {
      sums[i % 4] = sums[i % 4] + Isa::load(p + i / in_turn * apart + i % in_turn * Isa::width);
    });
  }
  const auto sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return static_cast<std::int32_t>(Isa::reduce_max_as_signed(Isa::to_float(sum)));
}

}  // namespace bytegate::bench
