// Float outputs of Linear and LSTM: the same bits on every backend, in any batch, and what the oracle says.
#include <map>

#include "layers/core/workspace_impl.h"
#include "layers/quant/packed_weights.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/oracle.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

class BitsTest : public BackendTest {};

int case_count(int size) { return size == 0 ? 12 : size == 1 ? 300 : 4000; }

/// The result of scalar for a case of that name, computed once for all backends.
const LSTMResult& scalar_result(const std::string& name, const LstmCase& c, const LstmKind& kind) {
  static std::map<std::string, LSTMResult> known;
  const auto [at, is_new] = known.try_emplace(name + " " + kind.name);
  if (is_new) at->second = run(c, kind, scalar_backend());
  return at->second;
}

void expect_equal(const LSTMResult& ours, const LSTMResult& expected, const std::string& kind) {
  EXPECT_EQ(first_difference(ours.output, expected.output), "") << kind << ", output";
  EXPECT_EQ(first_difference(ours.state.h, expected.state.h), "") << kind << ", hn";
  EXPECT_EQ(first_difference(ours.state.c, expected.state.c), "") << kind << ", cn";
}

/// The same bits as scalar, for float and every scheme.
void compare_lstm(const std::string& name, const LstmCase& c, const Backend& backend) {
  SCOPED_TRACE(name + ": " + c.text());
  for (const LstmKind& kind : lstm_kinds(c)) {
    const LSTMResult ours = run(c, kind, backend), scalar = scalar_result(name, c, kind);
    expect_equal(ours, scalar, kind.name);
  }
}

TEST_P(BitsTest, LstmAsScalar) {
  for (int seed = 0; seed < case_count(size()) && !HasFailure(); ++seed) {
    compare_lstm("seed " + std::to_string(seed), random_lstm_case(static_cast<std::uint64_t>(seed)), backend());
  }
}

// One step of one row, and of 65, the last of which is alone, in a model whose weights come from memory.
TEST_P(BitsTest, LstmOfALargeModel) {
  for (int seed = 0; seed < case_count(size()) && !HasFailure(); ++seed) {
    LstmCase c = random_lstm_case(static_cast<std::uint64_t>(seed));
    Random random(static_cast<std::uint64_t>(seed));
    c.steps = 1;
    c.batch = seed % 3 == 0 ? 65 : 1;
    c.unbatched = false;
    c.has_state = true;
    c.lengths = {};
    fill(c, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + c.text());
    for (const LstmKind& kind : lstm_kinds(c)) {
      Workspace workspace;
      workspace.impl().set_model_bytes(detail::kBytesFromMemory);
      expect_equal(run(AnyLstm(c, kind, backend()), c, workspace), run(c, kind, scalar_backend()), kind.name);
    }
  }
}

TEST_P(BitsTest, LargeLstmAsScalar) {
  if (size() == 0) GTEST_SKIP() << "not in a small test";
  const std::vector<LstmCase> cases = large_lstm_cases();
  for (std::size_t i = 0; i < cases.size(); ++i) compare_lstm("large case " + std::to_string(i), cases[i], backend());
}

// Both arithmetics against double precision. A quantized activation may fall on the other side of a rounding where the
// oracle's double differs in the last bits, and a recurrence carries that on: then the distance must be small beside
// the quantization noise itself.
TEST_P(BitsTest, LstmAsOracle) {
  const LstmKind float_kind = lstm_kinds()[0], accurate = lstm_kinds()[1];
  for (int seed = 0; seed < case_count(size()) && !HasFailure(); ++seed) {
    const LstmCase c = random_lstm_case(static_cast<std::uint64_t>(seed));
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + c.text());
    const LSTMState* state = c.has_state ? &c.state : nullptr;
    const LSTMResult ours = run(c, float_kind, backend()), int8 = run(c, accurate, backend());
    const LSTMResult exact =
        oracle::recurrent(c.layer, c.config, c.cells, c.x, state, c.lengths, oracle::Arithmetic::exact);
    const LSTMResult plain =
        oracle::recurrent(c.layer, c.config, c.cells, c.x, state, c.lengths, oracle::Arithmetic::accurate);
    const auto near = [](const Tensor& a, const Tensor& b, const Tensor& reference) {
      return difference(a, b) <= 1e-5 || noise_part(a, b, reference) <= 0.05;
    };
    EXPECT_LE(difference(ours.output, exact.output), 1e-5) << "float output";
    EXPECT_LE(difference(ours.state.h, exact.state.h), 1e-5) << "float hn";
    EXPECT_LE(difference(ours.state.c, exact.state.c), 1e-5) << "float cn";
    EXPECT_TRUE(near(int8.output, plain.output, exact.output))
        << "accurate output " << difference(int8.output, plain.output);
    EXPECT_TRUE(near(int8.state.h, plain.state.h, exact.state.h))
        << "accurate hn " << difference(int8.state.h, plain.state.h);
    EXPECT_TRUE(near(int8.state.c, plain.state.c, exact.state.c))
        << "accurate cn " << difference(int8.state.c, plain.state.c);
  }
}

struct LinearCase {
  Tensor weight, bias, x;
  bool relu;
  ConstTensorView bias_view() const { return bias.data.empty() ? ConstTensorView{} : bias.view(); }
};

LinearCase random_linear_case(std::uint64_t seed) {
  Random random(seed);
  const std::int64_t n = random.integer(1, 90), k = random.integer(1, 150);
  LinearCase c;
  c.weight = random_tensor({n, k}, random);
  if (random.chance(70)) c.bias = random_tensor({n}, random);
  c.relu = random.chance(30);
  const std::int64_t rows = random.pick({1, 2, 3, 5, 8, 11, 40, 600});
  c.x = random_tensor(random.chance(20)   ? Shape{k}
                      : random.chance(50) ? Shape{rows, k}
                                          : Shape{2, rows, k},
                      random, 3.0f);
  if (random.chance(30)) {
    for (float& v : c.x.data) v = std::fabs(v);  // zero point at the end of its range
  }
  return c;
}

// Linear has no recurrence: under the per_row scheme it has the oracle's bits.
TEST_P(BitsTest, Linear) {
  for (int seed = 0; seed < case_count(size()) && !HasFailure(); ++seed) {
    const LinearCase c = random_linear_case(static_cast<std::uint64_t>(seed));
    SCOPED_TRACE("seed " + std::to_string(seed) + ": weight " + to_string(c.weight.shape) + ", x " +
                 to_string(c.x.shape));
    const Linear layer(c.weight.view(), c.bias_view(), c.relu, &backend());
    const Linear scalar(c.weight.view(), c.bias_view(), c.relu, &scalar_backend());
    ASSERT_EQ(&layer.backend(), &backend());
    const Tensor y = layer.forward(c.x);
    EXPECT_LE(difference(y, oracle::linear(layer, c.x, oracle::Arithmetic::exact)), 1e-5);
    EXPECT_EQ(first_difference(y, scalar.forward(c.x)), "") << "float";
    for (const Scheme& scheme :
         {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 8), Scheme::torch(true, 7)}) {
      const auto quantized = Linear::from_float(layer, scheme);
      ASSERT_EQ(&quantized.backend(), &backend());
      const Tensor q = quantized.forward(c.x);
      EXPECT_EQ(first_difference(q, Linear::from_float(scalar, scheme).forward(c.x)), "") << to_string(scheme);
      if (scheme.is_torch()) continue;
      EXPECT_EQ(first_difference(q, oracle::quantized_linear(quantized.weight().int8s(), c.bias.data, c.x, c.relu)), "")
          << "oracle";
    }
  }
}

// One row by weights larger than the caches of a core; two threads take half of the panels each.
TEST_P(BitsTest, LinearByWeightsFromMemory) {
  if (size() == 0) GTEST_SKIP() << "not in a small test";
  Random random(11);
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{3232, 2048}, {2590, 2701}, {6500, 2050}}) {
    QuantizedWeight weight{n, k, std::vector<std::int8_t>(static_cast<std::size_t>(n * k)),
                           random_tensor({n}, random, 0.01f).data};
    for (auto& w : weight.data) w = static_cast<std::int8_t>(random.integer(-127, 127));
    for (float& scale : weight.scales) scale = std::abs(scale) + 1e-4f;
    const Tensor bias = random_tensor({n}, random);
    const Tensor x = random_tensor({1, k}, random);
    for (const bool relu : {false, true}) {
      const Linear layer(weight, bias.view(), Scheme::per_row(), relu, &backend());
      const Tensor expected = Linear(weight, bias.view(), Scheme::per_row(), relu, &scalar_backend()).forward(x);
      for (const int threads : {1, 2}) {
        Workspace workspace(threads);
        Tensor y(Shape{1, n});
        layer.forward(x.view(), y.view(), workspace);
        EXPECT_EQ(first_difference(y, expected), "") << n << " by " << k << ", " << threads << " threads";
      }
    }
  }
}

/// The first layer and direction of a case as the cell of one step, on step t of each row, against the layer.
template <class CellLayer>
void compare_cell(const LstmCase& c, const LstmKind& kind, const Backend& backend) {
  CellLayer cell(c.config, c.cells[0], &backend);
  if (kind.quantized) cell = CellLayer::from_float(cell, kind.scheme);
  const LSTMResult whole = run(c, kind, backend);
  const auto rows = [&](Tensor t) { return t.shape.rank() == 0 ? t : Tensor(Shape{c.batch, t.shape.back()}, t.data); };
  const LSTMState state{rows(c.state.h), rows(c.state.c)};
  const LSTMResult ours = cell.forward(rows(c.x), c.has_state ? &state : nullptr);
  EXPECT_EQ(first_difference(ours.output, rows(whole.output)), "") << kind.name;
  EXPECT_EQ(first_difference(ours.state.h, rows(whole.state.h)), "") << kind.name;
  EXPECT_EQ(first_difference(ours.state.c, rows(whole.state.c)), "") << kind.name;
  // Unbatched, the first row; in PyTorch's schemes a scale is the batch's.
  if (kind.quantized && kind.scheme.is_torch()) return;
  const auto first = [](const Tensor& t) {
    return t.shape.rank() == 0 ? t : Tensor(Shape{t.shape.back()}, take_row(t, false, 0, 0, 1).data);
  };
  const LSTMState one{first(state.h), first(state.c)};
  const LSTMResult alone = cell.forward(first(rows(c.x)), c.has_state ? &one : nullptr);
  EXPECT_EQ(first_difference(alone.output, first(ours.output)), "") << kind.name << ", unbatched";
}

// A cell is the layer of one step.
TEST_P(BitsTest, CellsAsLayers) {
  for (int seed = 0; seed < case_count(size()) && !HasFailure(); ++seed) {
    LstmCase c = random_lstm_case(static_cast<std::uint64_t>(seed));
    const bool plain = c.config.bias;
    c.config = {.input_size = c.config.input_size,
                .hidden_size = c.config.hidden_size,
                .bias = plain,
                .nonlinearity = c.config.nonlinearity,
                .reset_after = c.config.reset_after};
    c.steps = 1;
    c.unbatched = false;
    c.lengths = {};
    Random random(static_cast<std::uint64_t>(seed));
    fill(c, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + c.text());
    for (const LstmKind& kind : lstm_kinds(c)) {
      if (c.layer == Cell::lstm) compare_cell<LSTMCell>(c, kind, backend());
      if (c.layer == Cell::gru) compare_cell<GRUCell>(c, kind, backend());
      if (c.layer == Cell::rnn) compare_cell<RNNCell>(c, kind, backend());
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(BitsTest);

}  // namespace
}  // namespace bytegate::testing
