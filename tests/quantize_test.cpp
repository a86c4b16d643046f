// Quantization of activations on every backend, to the byte, and of weights: against docs/numerics.md written out in
// tests/support/oracle.h.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "tests/support/backend_test.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/oracle.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

/// Rows of many kinds, [count, k].
std::vector<std::vector<float>> sample_rows(std::size_t k, Random& random) {
  std::vector<std::vector<float>> rows;
  const auto add = [&](const auto& value) {
    std::vector<float> row(k);
    for (std::size_t i = 0; i < k; ++i) row[i] = value(i);
    rows.push_back(std::move(row));
  };
  add([&](std::size_t) { return random.uniform(-1, 1); });
  add([&](std::size_t) { return random.uniform(0.5f, 3); });       // all positive
  add([&](std::size_t) { return random.uniform(-700, -0.01f); });  // all negative
  add([&](std::size_t) { return random.chance(90) ? 0.0f : random.uniform(-1e-3f, 1e-3f); });
  add([&](std::size_t) { return -0.0f; });
  add([&](std::size_t) { return std::ldexp(random.uniform(-1, 1), static_cast<int>(random.integer(-149, 126))); });
  add([&](std::size_t) { return random.uniform(-1, 1) * FLT_MIN; });  // denormals
  add([&](std::size_t i) { return i % 2 ? FLT_MAX : -FLT_MAX; });
  add([&](std::size_t) {
    return static_cast<float>(random.integer(-300, 300)) * std::numeric_limits<float>::denorm_min();
  });
  // Halves of steps: with a range of 255 * 2^-6 the inverse scale is 64, and x * 64 = n + 1/2 is a tie.
  add([&](std::size_t i) { return i == 0 ? 255.0f / 64 : (static_cast<float>(random.integer(0, 254)) + 0.5f) / 64; });
  add([&](std::size_t i) {
    return i == 0 ? -100.0f / 64 : i == 1 ? 155.0f / 64 : (static_cast<float>(random.integer(-100, 154)) + 0.5f) / 64;
  });
  return rows;
}

/// Every length up to a few vectors, and longer ones: whole groups of vectors, single vectors and a rest.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> all;
  for (std::size_t k = 1; k <= 70; ++k) all.push_back(k);
  for (std::size_t k : {80u, 81u, 127u, 128u, 136u, 149u, 191u, 256u, 333u}) all.push_back(k);
  return all;
}

class QuantizeTest : public BackendTest {};

TEST_P(QuantizeTest, RowsAsDocumented) {
  Random random(1);
  const Kernels& kernels = *backend().kernels->int8;
  for (std::size_t k : lengths()) {
    const std::vector<std::vector<float>> rows = sample_rows(k, random);
    std::vector<float> x;
    for (const auto& row : rows) {
      x.insert(x.end(), row.begin(), row.end());
      x.push_back(1e9f);  // between the rows: not theirs
    }
    Staging staging(kernels, rows.size(), k);
    staging.stage(x.data(), k + 1);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const oracle::QuantizedRow expected = oracle::quantize_row(rows[r]);
      ASSERT_EQ(staging.scale(r).scale, expected.scale) << "k " << k << " row " << r;
      ASSERT_EQ(staging.scale(r).zero_point, expected.zero_point) << "k " << k << " row " << r;
      const std::vector<std::uint8_t> q = staging.quantized(r);
      for (std::size_t i = 0; i < k; ++i)
        ASSERT_EQ(q[i], expected.q[i]) << "k " << k << " row " << r << " at " << i << ": " << rows[r][i];
    }
  }
}

TEST_P(QuantizeTest, RangesAsDocumented) {
  Random random(2);
  for (const Kernels* kernels : {backend().kernels->int8, backend().kernels->f32}) {
    std::vector<std::size_t> all = lengths();
    all.push_back(0);
    for (std::size_t k : all) {
      for (const std::vector<float>& row : sample_rows(k, random)) {
        const FloatRows rows{row.data(), k, 1, k};
        RowRange range{5, 5};
        kernels->find_ranges(&rows, &range);
        float lo = 0, hi = 0;
        for (float v : row) {
          lo = std::min(lo, v);
          hi = std::max(hi, v);
        }
        ASSERT_EQ(range.lo, lo) << k;
        ASSERT_EQ(range.hi, hi) << k;
      }
    }
  }
}

// One value that is not finite, anywhere in a row.
TEST_P(QuantizeTest, RangeOfABadRow) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (std::size_t k : lengths()) {
    for (std::size_t at = 0; at < k; ++at) {
      for (float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> row(k, 1.5f);
        row[at] = bad;
        const FloatRows rows{row.data(), k, 1, k};
        RowRange range{5, 5};
        backend().kernels->int8->find_ranges(&rows, &range);
        ASSERT_TRUE(std::isnan(range.lo) && std::isnan(range.hi)) << bad << " at " << at << " of " << k;
        Staging staging(*backend().kernels->int8, 1, k);
        staging.stage(row.data(), k);
        ASSERT_TRUE(std::isnan(staging.scale(0).scale));
      }
    }
  }
}

// Rows together, of all kinds and not finite ones in any order: kernels compute the scales of several at once, and look
// at a row while they write another. A range that the caller passes yields the same as one that the kernel finds.
TEST_P(QuantizeTest, RowsTogether) {
  Random random(9);
  const Kernels& kernels = *backend().kernels->int8;
  const std::vector<std::size_t> all_counts = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 50};
  for (std::size_t k : {1u, 16u, 67u, 150u, 1100u}) {
    std::vector<std::vector<float>> kinds = sample_rows(k, random);
    kinds.push_back(kinds[0]);
    kinds.back()[k / 2] = std::numeric_limits<float>::quiet_NaN();
    std::vector<oracle::QuantizedRow> expected;
    for (const auto& kind : kinds) expected.push_back(oracle::quantize_row(kind));
    for (std::size_t count : k<1000 || size()> 0 ? all_counts : std::vector<std::size_t>{3, 17}) {
      std::vector<std::size_t> kind_of;
      std::vector<float> x;
      for (std::size_t r = 0; r < count; ++r) {
        kind_of.push_back(static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(kinds.size()) - 1)));
        x.insert(x.end(), kinds[kind_of[r]].begin(), kinds[kind_of[r]].end());
      }
      const FloatRows rows{x.data(), k, count, k};
      std::vector<RowRange> ranges(count);
      kernels.find_ranges(&rows, ranges.data());
      for (bool known : {false, true}) {
        Staging staging(kernels, count, k);
        StagedRows out = staging.rows();
        kernels.stage_rows(&rows, known ? ranges.data() : nullptr, nullptr, 0.0f, &out);
        for (std::size_t r = 0; r < count; ++r) {
          SCOPED_TRACE(::testing::Message() << "k " << k << " row " << r << " of " << count << ", known " << known);
          const oracle::QuantizedRow& row = expected[kind_of[r]];
          if (std::isnan(row.scale)) {
            ASSERT_TRUE(std::isnan(staging.scale(r).scale));
            continue;
          }
          ASSERT_EQ(staging.scale(r).scale, row.scale);
          ASSERT_EQ(staging.scale(r).zero_point, row.zero_point);
          ASSERT_EQ(staging.quantized(r), row.q);
        }
      }
    }
  }
}

// A row of zeros costs no more than another: no product of scales is subnormal, which many CPUs multiply slowly. Its
// sums are 0 and its outputs the bias, as with any other scale.
TEST_P(QuantizeTest, RowsOfZeros) {
  const Kernels& kernels = *backend().kernels->int8;
  for (std::size_t k = 1; k <= 70; ++k) {
    for (bool known : {false, true}) {
      std::vector<float> x(k, 0.0f);
      if (k > 2) x[k / 2] = -0.0f;
      const RowRange range{0, 0};
      const FloatRows rows{x.data(), k, 1, k};
      Staging staging(kernels, 1, k);
      StagedRows out = staging.rows();
      kernels.stage_rows(&rows, known ? &range : nullptr, nullptr, 0.0f, &out);
      ASSERT_EQ(staging.scale(0).scale, 1.0f);
      ASSERT_EQ(staging.scale(0).zero_point, 0);
      ASSERT_EQ(staging.quantized(0), std::vector<std::uint8_t>(k, 0));
    }
  }
}

TEST_P(QuantizeTest, OutputsOfRowsOfZeros) {
  Random random(8);
  const Tensor weight = random_tensor({37, 20}, random),
               bias(Shape{37}, std::vector<float>(random_tensor({37}, random).data));
  const Tensor zeros(Shape{2, 20});
  const Tensor y = Linear::from_float(Linear(weight.view(), bias.view(), false, &backend())).forward(zeros);
  for (std::size_t i = 0; i < y.data.size(); ++i) ASSERT_EQ(y.data[i], bias.data[i % 37]);
}

/// round(x) + zero_point within 0..255, in double; NaN is 0.
int saturated(float x, std::int32_t zero_point) {
  if (std::isnan(x)) return 0;
  return static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(x)) + zero_point, 0.0, 255.0));
}

// The same for every float on every backend: beyond int32, infinite and NaN too, in whole vectors and in the rest of a
// row.
TEST_P(QuantizeTest, FixedScaleSaturates) {
  const Kernels& kernels = *backend().kernels->int8;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = {0.0f};
  for (float v :
       {0.5f,   1.5f, 99.5f,      127.0f,        128.0f,        254.5f,        255.0f, 255.5f, 256.0f,  256.5f,  257.0f,
        300.0f, 1e4f, 4194303.5f, 2147483520.0f, 2147483648.0f, 4294967296.0f, 1e10f,  1e30f,  FLT_MAX, infinity}) {
    x.push_back(v);
    x.push_back(-v);
  }
  x.push_back(std::numeric_limits<float>::quiet_NaN());
  x.push_back(-std::numeric_limits<float>::quiet_NaN());
  for (std::size_t cols = 1; cols <= x.size(); ++cols) {
    std::rotate(x.begin(), x.begin() + 1, x.end());  // every value in every lane
    for (std::int32_t zero_point : {0, 1, 100, 127, 128, 255}) {
      const FloatRows rows{x.data(), cols, 1, cols};
      Staging staging(kernels, 1, cols);
      StagedRows out = staging.rows();
      const RowScale fixed{1.0f, zero_point};
      kernels.stage_rows(&rows, nullptr, &fixed, 1.0f, &out);
      ASSERT_EQ(staging.scale(0).scale, 1.0f);
      const std::vector<std::uint8_t> staged = staging.quantized(0);
      for (std::size_t i = 0; i < cols; ++i)
        ASSERT_EQ(staged[i], saturated(x[i], zero_point)) << x[i] << " + " << zero_point;
    }
  }
}

// x * inverse may be the one that overflows.
TEST_P(QuantizeTest, FixedInverseOverflows) {
  const Kernels& kernels = *backend().kernels->int8;
  const std::vector<float> x = {1e30f, -1e30f, 0.0f, 1e-30f};
  const FloatRows rows{x.data(), x.size(), 1, x.size()};
  Staging staging(kernels, 1, x.size());
  StagedRows out = staging.rows();
  const RowScale fixed{1e-30f, 7};
  kernels.stage_rows(&rows, nullptr, &fixed, 1e30f, &out);
  EXPECT_EQ(staging.quantized(0), (std::vector<std::uint8_t>{255, 0, 7, 8}));
}

// The float kernels stage what they are given.
TEST_P(QuantizeTest, FloatRowsAreCopied) {
  Random random(4);
  const Tensor x = random_tensor({3, 37}, random);
  Staging staging(*backend().kernels->f32, 3, 37);
  staging.stage(x.data.data(), 37);
  for (std::size_t r = 0; r < 3; ++r) {
    const auto* row = reinterpret_cast<const float*>(staging.row(r));
    EXPECT_TRUE(std::equal(row, row + 37, x.data.begin() + static_cast<std::ptrdiff_t>(r * 37)));
  }
}

BYTEGATE_ON_EVERY_BACKEND(QuantizeTest);

std::vector<float> weight_values(std::size_t count, Random& random) {
  std::vector<float> w(count);
  const int exponent = static_cast<int>(random.integer(-140, 100));
  for (float& v : w) v = std::ldexp(random.uniform(-1, 1), exponent);
  return w;
}

TEST(QuantizeWeightTest, Accurate) {
  Random random(5);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const Tensor w(Shape{3, 20}, weight_values(60, random));
    const QuantizedWeight q = quantize_weight(w.view(), Scheme::per_row());
    ASSERT_EQ(q.rows, 3);
    ASSERT_EQ(q.cols, 20);
    ASSERT_EQ(q.scales.size(), 3u);
    for (std::size_t n = 0; n < 3; ++n) {
      const std::span row = std::span(w.data).subspan(n * 20, 20);
      float most = 0;
      for (float v : row) most = std::max(most, std::fabs(v));
      if (most / 127.0f == 0) continue;
      ASSERT_EQ(q.scales[n], most / 127.0f);
      for (std::size_t k = 0; k < 20; ++k) {
        const double step = static_cast<double>(row[k]) / q.scales[n];
        ASSERT_EQ(q.data[n * 20 + k], std::clamp(std::nearbyint(step), -127.0, 127.0));
      }
    }
  }
}

TEST(QuantizeWeightTest, ZeroRows) {
  const Tensor w(Shape{2, 3}, {0.0f, -0.0f, 0.0f, 1.0f, -2.0f, 0.5f});
  const QuantizedWeight q = quantize_weight(w.view(), Scheme::per_row());
  EXPECT_EQ(q.data, (std::vector<std::int8_t>{0, 0, 0, 64, -127, 32}));
  EXPECT_TRUE(std::isfinite(q.scales[0]));
}

// PyTorch's: s = absmax / 127.5, at least float's epsilon; q = w * (1 / s), which can be -128.
TEST(QuantizeWeightTest, Torch) {
  Random random(6);
  int lowest = 0;
  for (int repeat = 0; repeat < 100; ++repeat) {
    Tensor w = random_tensor({2, 10}, random, repeat % 10 == 0 ? 1e-6f : 2.0f);
    w.data[0] = -2 * w.data[1];
    for (bool per_channel : {true, false}) {
      const QuantizedWeight q = quantize_weight(w.view(), Scheme::torch(per_channel));
      ASSERT_EQ(q.scales.size(), per_channel ? 2u : 1u);
      for (std::size_t i = 0; i < 20; ++i) {
        const std::span<const float> part =
            per_channel ? std::span(w.data).subspan(i / 10 * 10, 10) : std::span(w.data);
        float most = 0;
        for (float v : part) most = std::max(most, std::fabs(v));
        const float scale = std::max(most / 127.5f, FLT_EPSILON);
        ASSERT_EQ(q.scales[per_channel ? i / 10 : 0], scale);
        ASSERT_EQ(q.data[i], std::clamp(std::nearbyint(w.data[i] * (1.0f / scale)), -128.0f, 127.0f));
        lowest = std::min<int>(lowest, q.data[i]);
      }
    }
  }
  EXPECT_EQ(lowest, -128);
}

}  // namespace
}  // namespace bytegate::testing
