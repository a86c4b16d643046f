// The helpers that other tests compare with: none accepts another shape, or NaN or infinity in any place.
#include "tests/support/compare.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "examples/figures.h"

namespace bytegate::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kMax = std::numeric_limits<float>::max();

Tensor row(std::vector<float> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return Tensor(Shape{n}, std::move(values));
}

/// Calls check(a) for every order of the values.
template <typename Check>
void in_every_order(std::vector<float> values, Check check) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  do {
    std::vector<float> permuted;
    for (const std::size_t i : order) permuted.push_back(values[i]);
    check(row(std::move(permuted)));
  } while (std::next_permutation(order.begin(), order.end()));
}

// What no comparison may accept, beside one large and one small finite difference from zero.
const std::vector<std::vector<float>> kBadRows = {
    {0.5f, kNan, 1e-7f}, {0.5f, kInf, 1e-7f}, {0.5f, -kInf, 1e-7f}, {kNan, kInf, 0}};
const Tensor kZeros = row({0, 0, 0});

TEST(Difference, OfFiniteValues) {
  EXPECT_EQ(difference(row({}), row({})), 0);
  EXPECT_EQ(difference(kZeros, kZeros), 0);
  EXPECT_EQ(difference(row({0, -0.0f}), row({-0.0f, 0})), 0);
  in_every_order({0.5f, -0.25f, 1e-7f}, [](const Tensor& a) {
    EXPECT_EQ(difference(a, kZeros), 0.5);  // a part of 1 where the reference is smaller than that
    EXPECT_EQ(difference(kZeros, a), 0.5);
  });
  EXPECT_EQ(difference(row({1, -3, 0}), row({1, -4, 0})), 0.25);
  EXPECT_EQ(difference(row({1, -4, 0}), row({1, 3, 0})), 7.0 / 3);
  EXPECT_EQ(difference(row({kMax}), row({-kMax})), 2);  // the difference overflows float, and not double
}

TEST(Difference, OfNanInfinityAndOtherShapesIsInfinite) {
  for (const auto& values : kBadRows) {
    in_every_order(values, [](const Tensor& a) {
      EXPECT_EQ(difference(a, kZeros), kInfinite);
      EXPECT_EQ(difference(kZeros, a), kInfinite);
      EXPECT_EQ(difference(a, a), kInfinite);
      EXPECT_EQ(std::max(1e-7, difference(a, kZeros)), kInfinite);
      EXPECT_EQ(std::max(difference(a, kZeros), 1e-7), kInfinite);
    });
  }
  EXPECT_EQ(difference(row({1, 2}), row({1, 2, 3})), kInfinite);
  EXPECT_EQ(difference(Tensor(Shape{1, 2}), Tensor(Shape{2, 1})), kInfinite);
}

TEST(Energy, SumsSquares) {
  const Tensor a = row({1, -2, 3}), b = row({0, 2, 3});
  EXPECT_EQ(energy(row({})), 0);
  EXPECT_EQ(energy(a), 14);
  EXPECT_EQ(energy(a, &b), 17);
  EXPECT_EQ(energy(a, &a), 0);
  EXPECT_EQ(energy(row({kMax})), static_cast<double>(kMax) * kMax);
}

TEST(Energy, OfNanInfinityAndOtherShapesIsInfinite) {
  const Tensor other = row({1, 2});
  EXPECT_EQ(energy(kZeros, &other), kInfinite);
  for (const auto& values : kBadRows) {
    in_every_order(values, [](const Tensor& a) {
      EXPECT_EQ(energy(a), kInfinite);
      EXPECT_EQ(energy(a, &kZeros), kInfinite);
      EXPECT_EQ(energy(kZeros, &a), kInfinite);
      EXPECT_EQ(energy(a, &a), kInfinite);
    });
  }
}

TEST(Sqnr, OfFiniteValues) {
  EXPECT_DOUBLE_EQ(sqnr(row({10, 0}), row({10, 1})), 20);
  EXPECT_DOUBLE_EQ(sqnr(row({0, 1}), row({10, 1})), -20);
  EXPECT_EQ(sqnr(row({10, 0}), row({10, 0})), kInfinite);
  EXPECT_EQ(sqnr(kZeros, kZeros), kInfinite);
  EXPECT_EQ(sqnr(kZeros, row({0, 1, 0})), -kInfinite);  // all noise, no signal
}

TEST(Sqnr, OfNanInfinityAndOtherShapesIsTheWorst) {
  EXPECT_EQ(sqnr(row({1, 2}), row({1, 2, 3})), -kInfinite);
  for (const auto& values : kBadRows) {
    in_every_order(values, [](const Tensor& a) {
      EXPECT_EQ(sqnr(row({1, 2, 3}), a), -kInfinite);
      EXPECT_EQ(sqnr(a, row({1, 2, 3})), -kInfinite);
      EXPECT_EQ(sqnr(a, a), -kInfinite);
    });
  }
}

TEST(NoisePart, OfTheNoiseOfAnother) {
  const Tensor reference = row({1, 2, 3}), theirs = row({1, 2, 5});
  EXPECT_EQ(noise_part(row({1, 2, 4}), theirs, reference), 0.25);
  EXPECT_EQ(noise_part(theirs, theirs, reference), 0);
  EXPECT_EQ(noise_part(reference, reference, reference), 0);
  EXPECT_EQ(noise_part(theirs, reference, reference), kInfinite);  // theirs has no noise, ours has
  EXPECT_EQ(noise_part(row({1, 2}), theirs, reference), kInfinite);
  EXPECT_EQ(noise_part(row({1, 2, kNan}), theirs, reference), kInfinite);
  EXPECT_EQ(noise_part(reference, row({1, kInf, 3}), reference), kInfinite);
  EXPECT_EQ(noise_part(reference, theirs, row({kInf, 2, 3})), kInfinite);
}

TEST(Bits, AreEqualOrNot) {
  EXPECT_TRUE(same_bits(row({}), row({})));
  EXPECT_TRUE(same_bits(row({1, kNan, kInf}), row({1, kNan, kInf})));
  EXPECT_FALSE(same_bits(row({0}), row({-0.0f})));
  EXPECT_FALSE(same_bits(row({1, 2}), row({1, 3})));
  EXPECT_FALSE(same_bits(row({kNan}), row({-kNan})));
  EXPECT_FALSE(same_bits(row({1}), row({1, 2})));
  EXPECT_FALSE(same_bits(Tensor(Shape{1, 2}), Tensor(Shape{2, 1})));
}

TEST(Bits, WhereTheyDiffer) {
  EXPECT_EQ(first_difference(row({}), row({})), "");
  EXPECT_EQ(first_difference(row({1, kNan, kInf}), row({1, -kNan, kInf})), "");  // any NaN
  EXPECT_NE(first_difference(row({1, kNan}), row({1, 2})), "");
  EXPECT_NE(first_difference(row({1, 2}), row({1, kNan})), "");
  EXPECT_NE(first_difference(row({kInf}), row({-kInf})), "");
  EXPECT_EQ(first_difference(row({1, 0, 2}), row({1, -0.0f, 3})), "element 1 of 3: 0x0p+0 and -0x0p+0");
  EXPECT_NE(first_difference(Tensor(Shape{1, 2}), Tensor(Shape{2, 1})), "");
  EXPECT_NE(first_difference(row({1}), row({1, 2})), "");
}

// A tensor's shape and data are public, and a caller may have changed one of them alone.
TEST(Bits, OfATensorWhoseDataIsShorterThanItsShape) {
  const Tensor whole = row({1, 2, 3});
  Tensor torn = whole;
  torn.data.resize(1);
  EXPECT_FALSE(same_bits(whole, torn));
  EXPECT_NE(first_difference(whole, torn), "");
  EXPECT_EQ(difference(whole, torn), kInfinite);
  EXPECT_EQ(sqnr(whole, torn), -kInfinite);
}

TEST(DemoFigures, MaxErrorKeepsNan) {
  in_every_order({0.5f, kNan, 1e-7f}, [](const Tensor& a) {
    EXPECT_TRUE(std::isnan(demo::max_error(a, kZeros)));
    EXPECT_TRUE(std::isnan(demo::max_error(kZeros, a)));
    EXPECT_TRUE(std::isnan(demo::sqnr(kZeros, a)));
  });
  in_every_order({0.5f, -2, 1e-7f}, [](const Tensor& a) { EXPECT_EQ(demo::max_error(a, kZeros), 2); });
  in_every_order({0.5f, kInf, 1e-7f}, [](const Tensor& a) { EXPECT_EQ(demo::max_error(a, kZeros), kInfinite); });
  EXPECT_EQ(demo::max_error(kZeros, kZeros), 0);
  EXPECT_THROW(demo::max_error(kZeros, row({1})), std::runtime_error);
  EXPECT_DOUBLE_EQ(demo::sqnr(row({10, 0}), row({10, 1})), 20);
}

}  // namespace
}  // namespace bytegate::testing
