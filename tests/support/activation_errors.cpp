#include "tests/support/activation_errors.h"

#include <bit>
#include <cmath>
#include <cstdio>

namespace bytegate::testing {
namespace {

double exact(Activation activation, float x) {
  const double v = x;
  return activation == Activation::tanh ? std::tanh(v)
         : v >= 0                       ? 1 / (1 + std::exp(-v))
                                        : std::exp(v) / (1 + std::exp(v));
}

bool same(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

/// The rule that y = f(x), with f(-x) = mirrored, breaks; null if none.
const char* broken_rule(Activation activation, float x, float y, float mirrored) {
  if (std::isnan(x)) return std::isnan(y) ? nullptr : "NaN does not give NaN";
  if (std::isnan(y)) return "gives NaN";
  const bool is_tanh = activation == Activation::tanh;
  if (y > 1 || y < (is_tanh ? -1.0f : 0.0f)) return "leaves the range";
  if (std::isinf(x) && y != (x > 0 ? 1.0f : is_tanh ? -1.0f : 0.0f)) return "is not its limit";
  if (is_tanh && !same(mirrored, -y)) return "is not odd";
  if (is_tanh && std::signbit(x) != std::signbit(y)) return "has the other sign";
  if (!(std::fabs(y - exact(activation, x)) <= kActivationError)) return "has too large an error";
  return nullptr;
}

}  // namespace

void ActivationReport::add(const ActivationReport& other) {
  if (other.worst > worst) {
    worst = other.worst;
    worst_at = other.worst_at;
  }
  checked += other.checked;
  failures += other.failures;
  if (first_failure.empty()) first_failure = other.first_failure;
}

ActivationReport check_activation(const Backend& backend, Activation activation, const std::vector<float>& x) {
  const ElementwiseFn function = activation == Activation::tanh ? backend.kernels->tanh : backend.kernels->sigmoid;
  std::vector<float> y(x.size()), mirrored(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) mirrored[i] = -x[i];
  function(x.data(), y.data(), x.size());
  function(mirrored.data(), mirrored.data(), x.size());
  ActivationReport report;
  report.checked = x.size();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (const char* rule = broken_rule(activation, x[i], y[i], mirrored[i])) {
      if (report.failures++ == 0) {
        char text[200];
        std::snprintf(text, sizeof text, "%s(%.9g) = %.9g %s", activation == Activation::tanh ? "tanh" : "sigmoid",
                      static_cast<double>(x[i]), static_cast<double>(y[i]), rule);
        report.first_failure = text;
      }
    }
    const double error = std::isnan(x[i]) ? 0 : std::fabs(y[i] - exact(activation, x[i]));
    if (error > report.worst) {
      report.worst = error;
      report.worst_at = x[i];
    }
  }
  return report;
}

std::vector<float> floats_from(std::uint64_t first, std::uint64_t step, std::size_t count) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + step * i));
  return x;
}

}  // namespace bytegate::testing
