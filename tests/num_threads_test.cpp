// A workspace with several threads yields the bits of one, however the work is divided. Run under the tsan preset too.
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"

namespace bytegate::testing {
namespace {

class NumThreadsTest : public BackendTest {};

std::vector<int> thread_counts(int size) { return size == 0 ? std::vector<int>{2} : std::vector<int>{2, 3, 7}; }

/// Large enough to be split: by hidden units (few rows), by rows (many, unsorted lengths, a projection).
std::vector<LstmCase> cases() {
  std::vector<LstmCase> all;
  Random random(11);
  Cell layer = Cell::lstm;
  const auto add = [&](LSTMConfig config, std::int64_t steps, std::int64_t batch, std::vector<std::int64_t> lengths) {
    LstmCase c;
    c.layer = layer;
    c.config = config;
    c.steps = steps;
    c.batch = batch;
    c.has_state = true;
    fill(c, random);
    c.lengths = std::move(lengths);
    all.push_back(std::move(c));
  };
  const auto config = [](std::int64_t layers, bool bidirectional, bool batch_first, std::int64_t proj_size) {
    LSTMConfig c;
    c.input_size = 33;
    c.hidden_size = 263;
    c.num_layers = layers;
    c.bidirectional = bidirectional;
    c.batch_first = batch_first;
    c.proj_size = proj_size;
    return c;
  };
  add(config(2, false, false, 0), 19, 1, {});
  add(config(2, true, true, 0), 17, 2, {17, 5});
  add(config(1, false, false, 0), 11, 3, {3, 11, 7});
  add(config(1, true, false, 100), 9, 5, {});
  add(config(2, false, false, 0), 5, 21, {});
  for (const Cell other : recurrent_layers()) {
    if (other == Cell::lstm) continue;
    layer = other;
    add(config(2, false, false, 0), other == Cell::rnn ? 70 : 24, 1, {});
    add(config(2, true, true, 0), other == Cell::rnn ? 40 : 17, 2, {});
    add(config(1, false, false, 0), 19, 3, {3, 19, 7});
    add(config(2, true, false, 0), 9, 21, {});
  }
  layer = Cell::gru;
  LSTMConfig reset_first = config(2, true, false, 0);
  reset_first.reset_after = false;
  add(reset_first, 24, 2, {});
  add(reset_first, 6, 21, {});
  layer = Cell::lstm;
  add(config(1, true, true, 0), 4, 23, {1, 2, 3, 4, 4, 3, 2, 1, 1, 2, 3, 4, 4, 3, 2, 1, 1, 2, 3, 4, 4, 3, 2});
  return all;
}

TEST_P(NumThreadsTest, LstmGivesTheSameBits) {
  if (backend().priority < 0) GTEST_SKIP() << "a stand-in's signals hold all threads up";
  const bool slow = &backend() == &scalar_backend() && supported_backends().size() > 1;
  if (size() == 0 && slow) GTEST_SKIP() << "slow; others share its threads' code";
  const std::vector<int> counts = slow ? std::vector<int>{3} : thread_counts(size());
  for (const LstmCase& c : cases()) {
    for (const LstmKind& kind : lstm_kinds(c)) {
      if (size() == 0 && kind.scheme.is_torch()) continue;  // of one thread
      const AnyLstm layer(c, kind, backend());
      Workspace alone;
      const LSTMResult one = run(layer, c, alone);
      for (int threads : counts) {
        SCOPED_TRACE(c.text() + " " + kind.name + " threads " + std::to_string(threads));
        Workspace workspace(threads);
        run(layer, c, workspace);  // threads asleep, then awake
        const LSTMResult many = run(layer, c, workspace);
        EXPECT_EQ(first_difference(many.output, one.output), "");
        EXPECT_EQ(first_difference(many.state.h, one.state.h), "");
        EXPECT_EQ(first_difference(many.state.c, one.state.c), "");
      }
    }
  }
}

/// A Linear or Conv1d in float and int8.
template <class L>
void expect_same_bits(const L& layer, const Tensor& x, const std::vector<int>& counts) {
  const auto compare = [&](const L& l) {
    const Tensor one = l.forward(x);
    for (int threads : counts) {
      Workspace workspace(threads);
      Tensor many(one.shape);
      l.forward(x.view(), many.view(), workspace);
      EXPECT_EQ(first_difference(many, one), "") << to_string(x.shape) << " threads " << threads;
    }
  };
  compare(layer);
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch()}) compare(L::from_float(layer, scheme));
}

TEST_P(NumThreadsTest, LinearGivesTheSameBits) {
  Random random(12);
  for (const auto& [m, k, n] :
       {std::array<std::int64_t, 3>{1, 2100, 2050}, {3, 1500, 1001}, {131, 190, 201}, {50, 2000, 70}}) {
    const Linear layer(random_tensor({n, k}, random).view(), random_tensor({n}, random).view(), false, &backend());
    expect_same_bits(layer, random_tensor({m, k}, random), thread_counts(size()));
  }
}

TEST_P(NumThreadsTest, Conv1dGivesTheSameBits) {
  Random random(13);
  for (const bool depthwise : {false, true}) {
    for (const bool channels_last : {false, true}) {
      Conv1dConfig config;
      config.in_channels = depthwise ? 301 : 70;
      config.out_channels = depthwise ? 301 : 130;
      config.groups = depthwise ? config.in_channels : 1;
      config.kernel_size = 5;
      config.padding = 2;
      config.channels_last = channels_last;
      const Tensor weight =
          random_tensor({config.out_channels, config.in_channels / config.groups, config.kernel_size}, random);
      const Conv1d layer(config, weight.view(), random_tensor({config.out_channels}, random).view(), &backend());
      const std::int64_t steps = 101;
      const Shape in = channels_last ? Shape{3, steps, config.in_channels} : Shape{3, config.in_channels, steps};
      expect_same_bits(layer, random_tensor(in, random), thread_counts(size()));
    }
  }
}

TEST(Workspace, RefusesImpossibleThreadCounts) {
  for (int threads : {0, -1, 257}) EXPECT_THROW(Workspace{threads}, Error) << threads;
  EXPECT_EQ(Workspace(3).num_threads(), 3);
}

BYTEGATE_ON_EVERY_BACKEND(NumThreadsTest);

}  // namespace
}  // namespace bytegate::testing
