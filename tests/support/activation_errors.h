// sigmoid and tanh of a backend against the double precision ones of the C library, over ranges of float bit patterns.
#pragma once

#include <bytegate/backend.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bytegate::testing {

/// The largest error that is allowed: 3e-7, for every float.
inline constexpr double kActivationError = 3e-7;

enum class Activation { sigmoid, tanh };

/// What was found over some floats.
struct ActivationReport {
  double worst = 0;  ///< largest error
  float worst_at = 0;
  std::uint64_t checked = 0;
  std::uint64_t failures = 0;
  std::string first_failure;  ///< what broke a rule, and where

  void add(const ActivationReport& other);
};

/// Checks each x: error within kActivationError; NaN gives NaN and nothing else does; tanh within [-1, 1], with the
/// sign of x, and tanh(-x) = -tanh(x) to the bit; sigmoid within [0, 1]; at +-infinity the limits exactly.
ActivationReport check_activation(const Backend& backend, Activation activation, const std::vector<float>& x);

/// Bit patterns first, first + step, ... `count` of them.
std::vector<float> floats_from(std::uint64_t first, std::uint64_t step, std::size_t count);

}  // namespace bytegate::testing
