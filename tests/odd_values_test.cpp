// Unusual values: NaN, infinity, subnormal numbers, 3e38, constant and zero rows, odd weights. A row with NaN or
// infinity is NaN from that step on, no other row changes by a bit, and every backend agrees.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/oracle.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
const float kBad[] = {kNan, -kNan, kInfinity, -kInfinity};

bool all_nan(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isnan(v); });
}
bool all_finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

class OddLinear : public BackendTest {
 protected:
  Linear layer(const Tensor& weight, ConstTensorView bias = {}, bool relu = false) const {
    return Linear::from_float(Linear(weight.view(), bias, relu, &backend()));
  }
  /// The layer's output, checked against the oracle to the bit.
  Tensor checked(const Tensor& weight, const Tensor& bias, const Tensor& x, bool relu = false) const {
    const Linear quantized = layer(weight, bias.view(), relu);
    const Tensor y = quantized.forward(x);
    EXPECT_EQ(first_difference(y, oracle::quantized_linear(quantized.weight().int8s(), bias.data, x, relu)), "");
    return y;
  }
};

// Whichever element it is, whole vectors and tails, first row and last, with relu and without.
TEST_P(OddLinear, BadRowIsNanAndAlone) {
  Random random(1);
  for (std::int64_t k : {1, 5, 37}) {
    const Tensor weight = random_tensor({21, k}, random), bias = random_tensor({21}, random),
                 good = random_tensor({7, k}, random);
    for (bool relu : {false, true}) {
      const Tensor expected = checked(weight, bias, good, relu);
      for (float bad : kBad) {
        for (std::int64_t at = 0; at<k; at += k> 5 ? 9 : 1) {
          for (std::int64_t row : {0, 3, 6}) {
            Tensor x = good;
            x.data[static_cast<std::size_t>(row * k + at)] = bad;
            const Tensor y = checked(weight, bias, x, relu);
            for (std::int64_t m = 0; m < 7; ++m) {
              const Tensor ours = take_row(y, false, 0, m, 1);
              if (m == row) {
                EXPECT_TRUE(all_nan(ours.data)) << bad << " at " << at;
              } else {
                EXPECT_EQ(first_difference(ours, take_row(expected, false, 0, m, 1)), "")
                    << "row " << m << ", " << bad << " in row " << row;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(OddLinear, ZeroRowGivesTheBias) {
  Random random(2);
  const Tensor weight = random_tensor({19, 40}, random), bias = random_tensor({19}, random);
  for (float zero : {0.0f, -0.0f}) {
    Tensor x(Shape{2, 40});
    std::ranges::fill(x.data, zero);
    const Tensor y = checked(weight, bias, x);
    for (std::size_t i = 0; i < y.data.size(); ++i) EXPECT_EQ(y.data[i], bias.data[i % 19]);
  }
}

TEST_P(OddLinear, ZeroWeightRowGivesTheBias) {
  Random random(3);
  Tensor weight = random_tensor({5, 40}, random);
  for (std::size_t i = 0; i < 40; ++i) weight.data[80 + i] = i % 2 ? 0.0f : -0.0f;
  const Tensor bias = random_tensor({5}, random), x = random_tensor({3, 40}, random, 100.0f);
  const Tensor y = checked(weight, bias, x);
  for (std::size_t m = 0; m < 3; ++m) EXPECT_EQ(y.data[m * 5 + 2], bias.data[2]);
}

// Every scale a row can have, from denormals to the largest floats, beside an ordinary row.
TEST_P(OddLinear, EverySize) {
  Random random(4);
  const Tensor weight = random_tensor({9, 33}, random), bias = random_tensor({9}, random);
  for (float size : {kDenormal, 1e-42f, 1e-39f, FLT_MIN, 1e-30f, 1e-3f, 1e10f, 1e30f, 1e37f}) {
    Tensor x = random_tensor({3, 33}, random);
    for (std::size_t i = 33; i < 66; ++i) x.data[i] *= size;
    const Tensor y = checked(weight, bias, x);
    EXPECT_TRUE(all_finite(y.data)) << size;
    if (size < 1e-30f) continue;
    const Linear exact(weight.view(), bias.view(), false, &backend());
    const Tensor ours = take_row(y, false, 0, 1, 1), reference = take_row(exact.forward(x), false, 0, 1, 1);
    EXPECT_GT(sqnr(reference, ours), 30) << size;  // the row keeps its 8 bits whatever its size
  }
}

// The whole range of float in one row: its width is more than the largest float.
TEST_P(OddLinear, WidestRow) {
  const Tensor weight(Shape{2, 4}, {0.5f, 0, 0, 0, 0, 0.25f, 0, 0}), bias(Shape{2}, {1.0f, 2.0f});
  for (float most : {3e38f, FLT_MAX}) {
    const Tensor x(Shape{1, 4}, {most, -most, 1.0f, 0.0f});
    const Tensor y = checked(weight, bias, x);
    EXPECT_NEAR(y.data[0] / most, 0.5f, 0.01f);
    EXPECT_NEAR(y.data[1] / most, -0.25f, 0.01f);
  }
}

TEST_P(OddLinear, ConstantRows) {
  Random random(5);
  const Tensor weight = random_tensor({8, 50}, random), bias = random_tensor({8}, random);
  const Linear exact(weight.view(), bias.view(), false, &backend());
  for (float value : {1.0f, -1.0f, 0.3f, -123.0f, 1e-20f, 1e20f}) {
    Tensor x(Shape{1, 50});
    std::ranges::fill(x.data, value);
    const Tensor y = checked(weight, bias, x), reference = exact.forward(x);
    EXPECT_GT(sqnr(reference, y), 35) << value;  // a constant is an end of the range: only the weights are rounded
  }
}

/// Weights that are large enough overflow float, in the layer as in the oracle: what matters is that all backends
/// agree.
TEST_P(OddLinear, OverflowIsTheSameEverywhere) {
  Random random(6);
  const Tensor weight = random_tensor({11, 20}, random, 1e6f), bias = random_tensor({11}, random),
               x = random_tensor({2, 20}, random, 3e38f);
  checked(weight, bias, x);
}

TEST_P(OddLinear, WeightsOfMinus128) {
  Random random(7);
  QuantizedWeight weight{18, 41, {}, std::vector<float>(18)};
  for (int i = 0; i < 18 * 41; ++i)
    weight.data.push_back(static_cast<std::int8_t>(random.chance(30) ? -128 : random.integer(-128, 127)));
  for (float& s : weight.scales) s = random.uniform(0.001f, 0.1f);
  const Tensor x = random_tensor({5, 41}, random, 4.0f);
  const Linear quantized(weight, {}, Scheme::per_row(), false, &backend());
  EXPECT_EQ(first_difference(quantized.forward(x), oracle::quantized_linear(weight, {}, x, false)), "");
  EXPECT_EQ(quantized.weight().int8s().data, weight.data);
  EXPECT_EQ(quantized.weight().scales(), weight.scales);
}

/// The cases that the tests below are for: each layer, with the options that change its step.
std::vector<LstmCase> base_cases();

/// Two layers, T = 6, B = 4.
LstmCase base_case(std::int64_t proj_size, Cell layer = Cell::lstm) {
  LstmCase c;
  c.layer = layer;
  c.config.input_size = 11;
  c.config.hidden_size = 19;
  c.config.num_layers = 2;
  c.config.proj_size = proj_size;
  c.steps = 6;
  c.batch = 4;
  c.has_state = true;
  Random random(8);
  fill(c, random);
  return c;
}

std::vector<LstmCase> base_cases() {
  std::vector<LstmCase> cases = {base_case(0), base_case(5)};
  for (const Cell layer : recurrent_layers()) {
    if (layer == Cell::lstm) continue;
    cases.push_back(base_case(0, layer));
    cases.push_back(base_case(0, layer));
    cases.back().config.nonlinearity = Nonlinearity::relu;
  }
  cases.push_back(base_case(0, Cell::gru));
  cases.back().config.reset_after = false;
  return cases;
}

class OddLstm : public BackendTest {
 protected:
  /// Row 2 of `ours` is NaN from `first_bad` on, end state too, and as in `good` before; the other rows are as in
  /// `good`.
  void expect_poisoned(const LstmCase& c, const LSTMResult& good, const LSTMResult& ours, std::int64_t first_bad) {
    for (std::int64_t b = 0; b < c.batch; ++b) {
      const std::int64_t until = b == 2 ? first_bad : c.steps;
      EXPECT_EQ(first_difference(take_row(ours.output, false, b, 0, until), take_row(good.output, false, b, 0, until)),
                "")
          << "row " << b;
      const LSTMState state = take_state(ours.state, b), expected = take_state(good.state, b);
      if (b == 2) {
        EXPECT_TRUE(all_nan(take_row(ours.output, false, b, until, c.steps - until).data)) << "from step " << until;
        EXPECT_TRUE(all_nan(last_layer(state.h).data));
        if (c.has_c()) {
          EXPECT_TRUE(all_nan(last_layer(state.c).data));
        }
      } else {
        EXPECT_EQ(first_difference(state.h, expected.h), "") << "hn of row " << b;
        EXPECT_EQ(first_difference(state.c, expected.c), "") << "cn of row " << b;
      }
    }
  }
  static Tensor last_layer(const Tensor& state) { return take_row(state, false, 0, state.shape[0] - 1, 1); }

  void compare_with_scalar(const LstmCase& c, const LstmKind& kind, const LSTMResult& ours) {
    const LSTMResult scalar = run(c, kind, scalar_backend());
    EXPECT_EQ(first_difference(ours.output, scalar.output), "") << kind.name;
    EXPECT_EQ(first_difference(ours.state.h, scalar.state.h), "") << kind.name;
    EXPECT_EQ(first_difference(ours.state.c, scalar.state.c), "") << kind.name;
  }
};

TEST_P(OddLstm, BadInput) {
  const LstmKind accurate = lstm_kinds()[1];
  for (const LstmCase& base : base_cases()) {
    SCOPED_TRACE(base.text());
    const LSTMResult good = run(base, accurate, backend());
    ASSERT_TRUE(all_finite(good.output.data));
    for (float bad : kBad) {
      for (std::int64_t t = 0; t < base.steps; ++t) {
        LstmCase c = base;
        c.x.data[static_cast<std::size_t>((t * c.batch + 2) * 11 + t)] = bad;
        const LSTMResult ours = run(c, accurate, backend());
        expect_poisoned(c, good, ours, t);
        compare_with_scalar(c, accurate, ours);
      }
    }
  }
}

// A bad value in h0 or c0, of the first layer or the second, first unit or last: the row's outputs are NaN from the
// first step on.
TEST_P(OddLstm, BadState) {
  const LstmKind accurate = lstm_kinds()[1];
  for (const LstmCase& base : base_cases()) {
    SCOPED_TRACE(base.text());
    const LSTMResult good = run(base, accurate, backend());
    for (float bad : kBad) {
      for (std::size_t layer : {0u, 1u}) {
        for (bool in_h : {true, false}) {
          if (!in_h && !base.has_c()) continue;
          for (bool last : {false, true}) {
            LstmCase c = base;
            Tensor& state = in_h ? c.state.h : c.state.c;
            const auto width = static_cast<std::size_t>(state.shape.back());
            state.data[(layer * 4 + 2) * width + (last ? width - 1 : 0)] = bad;
            const LSTMResult ours = run(c, accurate, backend());
            SCOPED_TRACE(std::string(in_h ? "h0" : "c0") + " of layer " + std::to_string(layer));
            expect_poisoned(c, good, ours, 0);
            compare_with_scalar(c, accurate, ours);
          }
        }
      }
    }
  }
}

// PyTorch's schemes share a scale over the batch, and float layers have none: no row is its own, but all backends
// agree.
TEST_P(OddLstm, OtherKindsAgree) {
  for (float bad : kBad) {
    for (LstmCase c : base_cases()) {
      c.x.data[(3 * 4 + 2) * 11] = bad;
      for (const LstmKind& kind : lstm_kinds(c)) compare_with_scalar(c, kind, run(c, kind, backend()));
    }
    LstmCase c = base_case(5);
    c.state.c.data[50] = bad;
    for (const LstmKind& kind : lstm_kinds()) compare_with_scalar(c, kind, run(c, kind, backend()));
  }
}

// With lengths, the input past the end of a sequence is never read.
TEST_P(OddLstm, PaddingIsNotRead) {
  for (LstmCase base : base_cases()) {
    base.lengths = {2, 6, 4, 1};
    LstmCase spoiled = base;
    for (std::int64_t t = 0; t < base.steps; ++t) {
      for (std::int64_t b = 0; b < base.batch; ++b) {
        if (t < base.lengths[static_cast<std::size_t>(b)]) continue;
        std::fill_n(spoiled.x.data.begin() + (t * base.batch + b) * 11, 11, t % 2 ? kNan : kInfinity);
      }
    }
    for (const LstmKind& kind : lstm_kinds(base)) {
      const LSTMResult good = run(base, kind, backend()), ours = run(spoiled, kind, backend());
      EXPECT_EQ(first_difference(ours.output, good.output) + first_difference(ours.state.h, good.state.h), "")
          << kind.name;
      EXPECT_TRUE(all_finite(ours.output.data));
    }
  }
}

// Units that overflow, of any layer: finite or not, the same on every backend.
TEST_P(OddLstm, LargeInputsAreTheSameEverywhere) {
  for (float size : {kDenormal, 1e-39f, 1e-30f, 1e10f, 1e30f, 1.4e38f}) {
    for (LstmCase c : base_cases()) {
      SCOPED_TRACE(c.text());
      for (std::size_t i = 0; i < c.x.data.size(); ++i) {
        if (i / 11 % 4 == 2) c.x.data[i] *= size;
      }
      for (const LstmKind& kind : lstm_kinds(c)) compare_with_scalar(c, kind, run(c, kind, backend()));
    }
  }
}

TEST_P(OddLstm, EverySize) {
  for (float size : {kDenormal, 1e-39f, 1e-30f, 1e10f, 1e30f, 1.4e38f}) {
    LstmCase c = base_case(0);
    for (std::size_t i = 0; i < c.x.data.size(); ++i) {
      if (i / 11 % 4 == 2) c.x.data[i] *= size;  // row 2 alone
    }
    for (const LstmKind& kind : lstm_kinds()) {
      const LSTMResult ours = run(c, kind, backend());
      EXPECT_TRUE(all_finite(ours.output.data)) << kind.name << " " << size;
      compare_with_scalar(c, kind, ours);
      if (kind.name != "per_row") continue;
      const LSTMResult good = run(base_case(0), kind, backend());
      for (std::int64_t b : {0, 1, 3}) {
        EXPECT_EQ(first_difference(take_row(ours.output, false, b, 0, 6), take_row(good.output, false, b, 0, 6)), "")
            << size;
      }
    }
  }
}

// Finite numbers whose scales' product is no float: a sum of 0 times infinity. Units of the row become NaN one by one,
// and the row with them from the next step on; the others stay as they are.
TEST_P(OddLstm, OverflowIsTheSameEverywhere) {
  for (std::int64_t proj_size : {0, 5}) {
    for (std::size_t unit : {0u, 7u, 18u}) {
      LstmCase c = base_case(proj_size);
      for (FloatCell& cell : c.cells) std::ranges::fill(cell.weight_ih.data, 0.1f);
      std::fill_n(c.cells[0].weight_ih.data.begin() + static_cast<std::ptrdiff_t>((3 * 19 + unit) * 11), 11, 0.0f);
      c.cells[0].weight_ih.data[(3 * 19 + unit) * 11 + 10] = 1e6f;
      for (std::size_t t = 0; t < 6; ++t) {
        const auto row = c.x.data.begin() + static_cast<std::ptrdiff_t>((t * 4 + 2) * 11);
        std::fill_n(row, 11, 3e38f);
        row[10] = 0;
      }
      for (const LstmKind& kind : lstm_kinds()) {
        const LSTMResult ours = run(c, kind, backend());
        compare_with_scalar(c, kind, ours);
        if (kind.name != "per_row") continue;
        EXPECT_TRUE(
            std::isnan(take_row(ours.output, false, 2, 0, 1).data[0]));  // the second layer's row was not finite
        for (std::int64_t b : {0, 1, 3}) EXPECT_TRUE(all_finite(take_row(ours.output, false, b, 0, 6).data));
      }
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(OddLinear);
BYTEGATE_ON_EVERY_BACKEND(OddLstm);

}  // namespace
}  // namespace bytegate::testing
