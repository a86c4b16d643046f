// The floating-point environments that a caller may be in.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <iterator>
#include <vector>

namespace bytegate::testing {

#if defined(__x86_64__)
using Control = std::uint32_t;  // MXCSR
inline Control read_control() {
  Control value;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}
inline void write_control(Control value) { asm volatile("ldmxcsr %0" : : "m"(value)); }
inline constexpr Control kFlush = 0x8040;                              // results and operands
inline constexpr Control kRoundingModes[] = {0x2000, 0x4000, 0x6000};  // down, up, towards zero
#else
using Control = std::uint64_t;  // FPCR
inline Control read_control() {
  Control value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
inline void write_control(Control value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
inline constexpr Control kFlush = 1u << 24;
inline constexpr Control kRoundingModes[] = {1u << 23, 1u << 22, 3u << 22};
#endif

/// Runs f with bits of the control register set; fails the test if f leaves the register changed.
template <class F>
auto run_under(Control bits, const F& f) {
  const Control usual = read_control();
  write_control(usual | bits);
  auto result = f();
  const Control after = read_control();
  write_control(usual);
  EXPECT_EQ(after, usual | bits) << "the caller's control register was changed";
  return result;
}

inline std::vector<Control> environments() {
  std::vector<Control> all(std::begin(kRoundingModes), std::end(kRoundingModes));
  all.push_back(kFlush);
  for (const Control mode : kRoundingModes) all.push_back(kFlush | mode);
  return all;
}

}  // namespace bytegate::testing
