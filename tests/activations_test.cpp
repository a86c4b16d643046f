// sigmoid and tanh on every backend: the error for a sample of the floats (bytegate_activation_check tries all of
// them), and equal bits everywhere.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/activation_errors.h"
#include "tests/support/backend_test.h"

namespace bytegate::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// 2^32 / 4099 floats spread over all exponents, fewer for a small test.
std::vector<float> sample() {
  const std::uint64_t step = test_size() == 0 ? 409901 : 4099;
  return floats_from(0, step, static_cast<std::size_t>((std::uint64_t{1} << 32) / step));
}

/// Zeros, denormals, ends of ranges, infinities, NaNs; the floats around each power of two and around each small
/// integer.
std::vector<float> specials() {
  std::vector<float> x = {0.0f,  -0.0f, kInfinity, -kInfinity, NAN, -NAN, std::bit_cast<float>(0x7f800001u),
                          3e38f, -3e38f};
  const auto around = [&](float center) {
    const auto bits = std::bit_cast<std::uint32_t>(center);
    for (std::uint32_t b = bits - 40; b != bits + 41; ++b) {
      x.push_back(std::bit_cast<float>(b));
      x.push_back(-x.back());
    }
  };
  for (int e = -148; e <= 127; ++e) around(std::ldexp(1.0f, e));
  for (int i = 1; i <= 110; ++i) around(static_cast<float>(i));
  around(std::numeric_limits<float>::max());
  return x;
}

class ActivationsTest : public BackendTest {
 protected:
  void check(Activation activation, const std::vector<float>& x) const {
    const ActivationReport report = check_activation(backend(), activation, x);
    EXPECT_EQ(report.checked, x.size());
    EXPECT_GT(report.worst, 0);  // no approximation is exact everywhere: the oracle was asked
    EXPECT_EQ(report.failures, 0u) << report.first_failure;
  }
};

TEST_P(ActivationsTest, SampleOfAllFloats) {
  check(Activation::sigmoid, sample());
  check(Activation::tanh, sample());
}

TEST_P(ActivationsTest, SpecialFloats) {
  check(Activation::sigmoid, specials());
  check(Activation::tanh, specials());
}

TEST_P(ActivationsTest, LimitsAreExact) {
  const float x[] = {kInfinity, -kInfinity, 3e38f, -3e38f, 100.0f, -100.0f, 20.0f, -20.0f, 0.0f, -0.0f};
  float tanh[10], sigmoid[10];
  backend().kernels->tanh(x, tanh, 10);
  backend().kernels->sigmoid(x, sigmoid, 10);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(tanh[i], i % 2 ? -1.0f : 1.0f) << x[i];
    EXPECT_EQ(sigmoid[i], i % 2 ? 0.0f : 1.0f) << x[i];
  }
  EXPECT_EQ(std::bit_cast<std::uint32_t>(tanh[8]), 0u);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(tanh[9]), 0x80000000u);
  EXPECT_EQ(sigmoid[8], 0.5f);
  EXPECT_EQ(sigmoid[9], 0.5f);
}

TEST_P(ActivationsTest, SameBitsAsScalar) {
  for (const std::vector<float>& x : {sample(), specials()}) {
    for (ElementwiseFn BackendKernels::*f : {&BackendKernels::sigmoid, &BackendKernels::tanh}) {
      std::vector<float> ours(x.size()), scalar(x.size());
      (backend().kernels->*f)(x.data(), ours.data(), x.size());
      (scalar_backend().kernels->*f)(x.data(), scalar.data(), x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (std::isnan(ours[i]) && std::isnan(scalar[i])) continue;
        ASSERT_EQ(std::bit_cast<std::uint32_t>(ours[i]), std::bit_cast<std::uint32_t>(scalar[i])) << "x = " << x[i];
      }
    }
  }
}

// Every number of elements, also in place: whole vectors and tails return what one element alone returns, and nothing
// past the end is written.
TEST_P(ActivationsTest, EveryLength) {
  const std::vector<float> x = floats_from(0x3e000000u, 997, 70);
  for (ElementwiseFn f : {backend().kernels->sigmoid, backend().kernels->tanh}) {
    std::vector<float> alone(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) f(&x[i], &alone[i], 1);
    for (std::size_t n = 0; n <= x.size(); ++n) {
      std::vector<float> y(x.size() + 1, -77.0f), in_place = x;
      f(x.data(), y.data(), n);
      f(in_place.data(), in_place.data(), n);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(y[i], i < n ? alone[i] : -77.0f) << "n " << n << " i " << i;
        ASSERT_EQ(in_place[i], i < n ? alone[i] : x[i]) << "n " << n << " i " << i;
      }
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(ActivationsTest);

}  // namespace
}  // namespace bytegate::testing
