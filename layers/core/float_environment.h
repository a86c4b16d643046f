// The floating-point environment of a call.
#pragma once

#include <cstdint>

namespace bytegate::detail {

/// Sets round to nearest, subnormal numbers kept and no traps, and restores the caller's control register, with its
/// exception flags, at the end. Both cost a few cycles where the caller's environment is the usual one. Arithmetic
/// between the two must not be moved across them by a compiler: keep it behind a call or in loops over memory.
class FloatEnvironment {
 public:
  FloatEnvironment() noexcept : saved_(read()) {
    if ((saved_ & kControlBits) != kUsual) write(kUsual);
  }
  ~FloatEnvironment() {
    if (read() != saved_) write(saved_);
  }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
#if defined(__x86_64__)
  using Register = std::uint32_t;  // MXCSR
  static constexpr Register kControlBits = 0xffc0, kUsual = 0x1f80;
  static Register read() noexcept {
    Register value;
    asm volatile("stmxcsr %0" : "=m"(value) : : "memory");
    return value;
  }
  static void write(Register value) noexcept { asm volatile("ldmxcsr %0" : : "m"(value) : "memory"); }
#elif defined(__aarch64__)
  using Register = std::uint64_t;  // FPCR
  static constexpr Register kControlBits = ~Register{0}, kUsual = 0;
  static Register read() noexcept {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value) : : "memory");
    return value;
  }
  static void write(Register value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
#error "bytegate is built for x86-64 and aarch64"
#endif

  const Register saved_;
};

}  // namespace bytegate::detail
