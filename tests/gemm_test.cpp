// int32 accumulators against the oracle: exact, on every backend, for every operand.
//
// With activation scale 1, weight scale 1 and bias 0 the kernel's output is float(acc). Every int32 of up to 24 bits is
// a float of its own, so for these a comparison of the floats is one of the integers.
#include <cmath>
#include <cstring>

#include "tests/io_testing.h"
#include "tests/support/backend_test.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/oracle.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr float kCanary = -12345.25f;

QuantizedWeight weights_of(std::int64_t n, std::int64_t k, std::vector<std::int8_t> data) {
  return {n, k, std::move(data), std::vector<float>(static_cast<std::size_t>(n), 1.0f)};
}

/// m rows of activations with a zero point each.
struct Activations {
  std::size_t k;
  std::vector<Bytes> rows;
  std::vector<std::int32_t> zero_points;
};

Activations random_activations(std::size_t m, std::size_t k, Random& random) {
  Activations a{k, {}, {}};
  for (std::size_t r = 0; r < m; ++r) {
    Bytes row(k);
    // Rows of extremes, so that a sum that saturates or wraps has every chance to.
    const std::int64_t kind = random.integer(0, 3);
    for (auto& v : row)
      v = static_cast<std::uint8_t>(kind == 0   ? 255
                                    : kind == 1 ? random.pick({0, 255, 127, 128})
                                                : random.integer(0, 255));
    a.rows.push_back(std::move(row));
    a.zero_points.push_back(static_cast<std::int32_t>(kind == 2 ? random.pick({0, 255, 128}) : random.integer(0, 255)));
  }
  return a;
}

std::vector<std::int8_t> random_weights(std::size_t count, Random& random) {
  std::vector<std::int8_t> w(count);
  const std::int64_t kind = random.integer(0, 4);
  for (auto& v : w) {
    v = static_cast<std::int8_t>(kind == 0   ? random.pick({-128, 127})
                                 : kind == 1 ? random.pick({-127, 127, 0, 1, -1})
                                 : kind == 2 ? random.integer(-127, 127)
                                             : random.integer(-128, 127));
  }
  return w;
}

/// A product on one backend, its weights packed once.
class Product {
 public:
  Product(const Backend& backend, const QuantizedWeight& weight)
      : kernels_(*backend.kernels->int8), n_(static_cast<std::size_t>(weight.rows)), packed_(pack(kernels_, weight)) {}

  /// float(acc) [rows, n]; also checks that nothing else is written.
  std::vector<float> run(const Activations& a, std::size_t rows, bool from_memory) const {
    Staging staging(kernels_, rows, a.k);
    for (std::size_t r = 0; r < rows; ++r) staging.stage_integers(r, a.rows[r], a.zero_points[r]);
    const std::size_t stride = n_ + 3;
    std::vector<float> out((rows + 1) * stride, kCanary);
    const GemmArgs args{staging.rows(), packed_.view(), out.data(), stride, n_, 0, packed_.panels(), 0, from_memory};
    kernels_.gemm(&args);
    std::vector<float> result;
    for (std::size_t r = 0; r <= rows; ++r) {
      for (std::size_t n = 0; n < stride; ++n) {
        if (r < rows && n < n_) {
          result.push_back(out[r * stride + n]);
        } else if (out[r * stride + n] != kCanary) {
          ADD_FAILURE() << "wrote outside the result, at row " << r << ", column " << n;
        }
      }
    }
    return result;
  }

 private:
  const Kernels& kernels_;
  std::size_t n_;
  detail::PackedWeights packed_;
};

std::vector<float> expected_of(const Activations& a, const QuantizedWeight& weight) {
  std::vector<float> expected;
  for (std::size_t r = 0; r < a.rows.size(); ++r) {
    for (std::size_t n = 0; n < static_cast<std::size_t>(weight.rows); ++n) {
      const auto sum = oracle::product(a.rows[r], a.zero_points[r], std::span(weight.data).subspan(n * a.k, a.k));
      EXPECT_LE(std::abs(sum), INT32_MAX);
      expected.push_back(static_cast<float>(static_cast<std::int32_t>(sum)));
    }
  }
  return expected;
}

class GemmTest : public BackendTest {
 protected:
  /// m rows against the oracle, taking the first 1, 2, ... m of them at a time if `each`, and one by weights that are
  /// said to come from memory. False after a failure.
  bool check(const Activations& a, const QuantizedWeight& weight, bool each) const {
    const std::vector<float> expected = expected_of(a, weight);
    const Product product(backend(), weight);
    const auto width = static_cast<std::size_t>(weight.rows);
    for (std::size_t rows = each ? 0 : a.rows.size(); rows <= a.rows.size(); ++rows) {
      const std::vector<float> got = rows == 0 ? product.run(a, 1, true) : product.run(a, rows, false);
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (got[i] == expected[i]) continue;
        ADD_FAILURE() << "M " << (rows == 0 ? "1 from memory" : std::to_string(rows)) << " N " << weight.rows << " K "
                      << a.k << " row " << i / width << " column " << i % width << ": " << got[i] << ", expected "
                      << expected[i];
        return false;
      }
    }
    return !HasFailure();
  }
};

// Complete with BYTEGATE_TEST_SIZE=full; otherwise every size of each of M, N and K, in a sample of their combinations.
TEST_P(GemmTest, EverySizeIsExact) {
  const int part = size() == 2 ? 1 : size() == 1 ? 7 : 97;
  Random random(1);
  for (std::size_t n = 1; n <= 80; ++n) {
    for (std::size_t k = 1; k <= 160; ++k) {
      if ((n * 160 + k) % static_cast<std::size_t>(part) != 0) continue;
      const auto weight =
          weights_of(static_cast<std::int64_t>(n), static_cast<std::int64_t>(k), random_weights(n * k, random));
      if (!check(random_activations(8, k, random), weight, true)) return;
    }
  }
}

TEST_P(GemmTest, ManyRows) {
  Random random(2);
  for (std::size_t m : {9u, 12u, 13u, 16u, 17u, 23u, 32u, 33u, 40u, 64u, 65u, 97u, 131u}) {
    for (const std::size_t n : {37u, 130u}) {
      const std::size_t k = 2 * n + m % 3 - 29;  // 45 to 47, 231 to 233
      const auto weight =
          weights_of(static_cast<std::int64_t>(n), static_cast<std::int64_t>(k), random_weights(n * k, random));
      if (!check(random_activations(m, k, random), weight, false)) return;
    }
  }
}

// All operands at their ends, alone and in turns, with every zero point that could be one too many.
TEST_P(GemmTest, Extremes) {
  const int q_values[] = {0, 1, 127, 128, 254, 255}, w_values[] = {-128, -127, -1, 0, 1, 126, 127};
  for (int q1 : q_values) {
    for (int q2 : q_values) {
      Activations a{130, {}, {}};
      for (int zero_point : {0, 1, 127, 128, 254, 255}) {
        Bytes row(a.k);
        for (std::size_t i = 0; i < a.k; ++i) row[i] = static_cast<std::uint8_t>(i % 2 ? q1 : q2);
        a.rows.push_back(row);
        a.zero_points.push_back(zero_point);
      }
      std::vector<std::int8_t> w;
      for (int w1 : w_values) {
        for (int w2 : w_values) {
          for (std::size_t i = 0; i < a.k; ++i) w.push_back(static_cast<std::int8_t>(i % 2 ? w1 : w2));
        }
      }
      if (!check(a, weights_of(49, 130, w), false)) return;
    }
  }
}

TEST_P(GemmTest, EveryZeroPoint) {
  Random random(3);
  Activations a{33, {}, {}};
  for (int zero_point = 0; zero_point < 256; ++zero_point) {
    Activations one = random_activations(1, a.k, random);
    a.rows.push_back(std::move(one.rows[0]));
    a.zero_points.push_back(zero_point);
  }
  check(a, weights_of(18, 33, random_weights(18 * 33, random)), false);
}

// The largest sums that are accepted, and large sums that cancel to a few bits, so that every bit of them is seen.
TEST_P(GemmTest, LargeK) {
  Random random(4);
  constexpr std::size_t most_of_minus_128 = kMaxWeightSum / 128;
  for (std::size_t k : {std::size_t{1000}, std::size_t{16384}, most_of_minus_128, std::size_t{65535}, kMaxK}) {
    if (size() == 0 && k < kMaxK) continue;
    Activations a{k, {}, {}};
    for (int q : {255, 0, 255}) a.rows.push_back(Bytes(k, static_cast<std::uint8_t>(q)));
    a.zero_points = {0, 255, 1};
    Activations mixed = random_activations(3, k, random);
    for (std::size_t r = 0; r < 3; ++r) {
      a.rows.push_back(mixed.rows[r]);
      a.zero_points.push_back(mixed.zero_points[r]);
    }
    constexpr std::size_t n = 19;
    std::vector<std::int8_t> w = random_weights(n * k, random);
    for (std::size_t i = 0; i < k; ++i) {
      w[i] = k > most_of_minus_128 ? -127 : -128;
      w[k + i] = 127;
      w[2 * k + i] = i < k / 2 ? std::int8_t{127} : std::int8_t{-127};
      w[3 * k + i] = i < k / 2 ? std::int8_t{-128} : i % 2 ? std::int8_t{127} : std::int8_t{-128};
      w[4 * k + i] = i % 2 ? std::int8_t{127} : std::int8_t{-127};
    }
    if (!check(a, weights_of(n, static_cast<std::int64_t>(k), std::move(w)), false)) return;
  }
}

// A product may take weights beyond a cache in parts.
TEST_P(GemmTest, LargeWeights) {
  if (size() == 0) GTEST_SKIP() << "not in a small test";
  Random random(5);
  constexpr std::size_t k = 1090, n = 1290;
  check(random_activations(37, k, random), weights_of(n, k, random_weights(n * k, random)), false);
}

TEST_P(GemmTest, LargerKIsRefused) {
  const QuantizedWeight weight = weights_of(1, 65537, std::vector<std::int8_t>(65537));
  expect_error(ErrorCode::invalid_argument, {"65537", "65536"},
               [&] { const Linear layer(weight, {}, Scheme::per_row(), false, &backend()); });
}

TEST_P(GemmTest, LargerSumsOfWeightsAreRefused) {
  std::vector<std::int8_t> w(2 * kMaxK, -127);
  w.back() = -128;
  const QuantizedWeight weight = weights_of(2, kMaxK, std::move(w));
  expect_error(ErrorCode::invalid_argument, {"output feature 1 ", "-8323073", "-8323072"},
               [&] { const Linear layer(weight, {}, Scheme::per_row(), false, &backend()); });
}

// The packing of backend.h, computed here once more.
TEST_P(GemmTest, PackingIsAsDocumented) {
  Random random(5);
  const Kernels& kernels = *backend().kernels->int8;
  for (auto [n, k] : {std::pair{1, 1}, {5, 3}, {33, 17}, {64, 64}, {65, 9}}) {
    QuantizedWeight weight = weights_of(n, k, random_weights(static_cast<std::size_t>(n * k), random));
    weight.data[0] = -128;
    const detail::PackedWeights packed = pack(kernels, weight);
    const PackedMatrix& view = packed.view();
    const std::size_t nr = kernels.layout.panel_channels, nb = kernels.layout.block_channels, kr = kernels.layout.kr;
    const std::size_t k_block = kernels.layout.k_block,
                      padded = (static_cast<std::size_t>(k) + k_block - 1) / k_block * k_block;
    ASSERT_EQ(view.k_groups, padded / kr);
    ASSERT_EQ(view.block_channels, nb);
    ASSERT_EQ(view.has_minus_128, 1u);
    ASSERT_EQ(packed.panels() * nr * padded,
              packed_size(kernels.layout, static_cast<std::size_t>(n), static_cast<std::size_t>(k)));
    for (std::size_t row = 0; row < packed.panels() * nr; ++row) {
      std::int32_t sum = 0;
      for (std::size_t col = 0; col < padded; ++col) {
        const bool inside = row < static_cast<std::size_t>(n) && col < static_cast<std::size_t>(k);
        const int w = inside ? weight.data[row * static_cast<std::size_t>(k) + col] : 0;
        sum += w;
        // Panels, in them blocks, in them groups of k, in them channels, in them k.
        std::size_t at =
            row / nr * (nr * padded) + row % nr / nb * (nb * padded) + col / kr * (nb * kr) + row % nb * kr + col % kr;
        ASSERT_EQ(packed_index(kernels.layout, view.k_groups, row, col), at);
        ASSERT_EQ(static_cast<const std::int8_t*>(view.data)[at], w) << "row " << row << " column " << col;
      }
      ASSERT_EQ(view.sums[row], kernels.sum_format == SumFormat::pair ? sum_pair(sum) : sum);
      ASSERT_EQ(view.bias[row], 0.0f);
      ASSERT_EQ(view.scales[row], row < static_cast<std::size_t>(n) ? 1.0f : 0.0f);
    }
  }
}

// Every sum of weights as a pair, for every zero point.
TEST(SumPairTest, AllSums) {
  for (std::int32_t s = -kMaxWeightSum; s <= kMaxWeightSum; ++s) {
    const std::int32_t pair = sum_pair(s), a = static_cast<std::int16_t>(pair & 0xffff), b = pair >> 16;
    ASSERT_EQ(128 * b - 127 * a, s);
  }
  for (std::int32_t z = 0; z < 256; ++z) {
    ASSERT_EQ(127 * z, static_cast<std::int16_t>(127 * z));
    ASSERT_EQ(-128 * z, static_cast<std::int16_t>(-128 * z));
  }
}

// Ranges of panels, cut columns, the bias, and relu.
TEST_P(GemmTest, Epilogue) {
  Random random(6);
  const Kernels& kernels = *backend().kernels->int8;
  const std::size_t nr = kernels.layout.panel_channels, n = 3 * nr + nr / 2 + 1, k = 21;
  const QuantizedWeight weight = weights_of(static_cast<std::int64_t>(n), 21, random_weights(n * k, random));
  std::vector<float> bias(n);
  for (float& b : bias) b = static_cast<float>(random.integer(-3000, 3000));
  const Activations a = random_activations(3, k, random);
  const std::vector<float> sums = expected_of(a, weight);
  const detail::PackedWeights packed = pack(kernels, weight, bias);
  Staging staging(kernels, 3, k);
  for (std::size_t r = 0; r < 3; ++r) staging.stage_integers(r, a.rows[r], a.zero_points[r]);
  for (std::size_t begin = 0; begin <= packed.panels(); ++begin) {
    for (std::size_t end = begin; end <= packed.panels(); ++end) {
      for (std::size_t n_out : {n, n - 1, 2 * nr + 1, 2 * nr, nr - 1, std::size_t{1}}) {
        for (std::uint32_t kind = 0; kind < 6; ++kind) {
          const std::uint32_t relu = kind % 2, from_memory = kind / 4, rows = kind < 2 ? 3 : 1;
          std::vector<float> out(rows * n, kCanary);
          GemmArgs args{staging.rows(), packed.view(), out.data(), n, n_out, begin, end, relu, from_memory};
          args.lhs.rows = rows;
          kernels.gemm(&args);
          for (std::size_t i = 0; i < out.size(); ++i) {
            const std::size_t column = i % n;
            const float y = sums[i] + bias[column];
            const float expected = column < begin * nr || column >= std::min(end * nr, n_out) ? kCanary
                                   : relu && y < 0                                            ? 0.0f
                                                                                              : y;
            ASSERT_EQ(out[i], expected) << "column " << column << ", panels " << begin << " to " << end << ", n_out "
                                        << n_out << ", relu " << relu << ", " << rows << " rows, from memory "
                                        << from_memory;
          }
        }
      }
    }
  }
}

// What is read next changes no result, and need not be memory.
TEST_P(GemmTest, Next) {
  Random random(8);
  const Kernels& kernels = *backend().kernels->int8;
  const std::size_t n = 3 * kernels.layout.panel_channels, k = 70;
  const QuantizedWeight weight = weights_of(static_cast<std::int64_t>(n), 70, random_weights(n * k, random));
  const detail::PackedWeights packed = pack(kernels, weight, {});
  for (const std::size_t rows : {1u, 17u, 40u}) {
    const Activations a = random_activations(rows, k, random);
    Staging staging(kernels, rows, k);
    for (std::size_t r = 0; r < rows; ++r) staging.stage_integers(r, a.rows[r], a.zero_points[r]);
    const std::vector<float> expected = expected_of(a, weight);
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20, ~std::size_t{0}}) {
      std::vector<float> out(rows * n);
      const GemmArgs args{staging.rows(), packed.view(),      out.data(), n, n, 0, packed.panels(), 0,
                          false,          packed.view().data, bytes};
      kernels.gemm(&args);
      ASSERT_EQ(out, expected) << rows << " rows, next " << bytes << " bytes";
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(GemmTest);

}  // namespace
}  // namespace bytegate::testing
