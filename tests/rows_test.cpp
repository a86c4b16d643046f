// Rows do not depend on each other (per_row scheme): neither other rows of the batch, nor padding, nor the division of
// a sequence into calls changes an output. All comparisons are of bits.
#include <algorithm>
#include <cmath>
#include <ctime>
#include <numeric>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"

namespace bytegate::testing {
namespace {

int case_count(int size) { return size == 0 ? 10 : size == 1 ? 240 : 3000; }

/// Float layers and the per_row scheme, for which this holds; PyTorch's schemes have one scale for a whole batch.
std::vector<LstmKind> kinds() { return {lstm_kinds()[0], lstm_kinds()[1]}; }

std::int64_t length_of(const LstmCase& c, std::int64_t b) {
  return c.lengths.empty() ? c.steps : c.lengths[static_cast<std::size_t>(b)];
}

/// The case with batch rows `order`, and `padding` steps of rubbish behind each (lengths then say where they end).
LstmCase rearranged(const LstmCase& c, const std::vector<std::int64_t>& order, std::int64_t padding) {
  LstmCase r;
  r.layer = c.layer;
  r.config = c.config;
  r.cells = c.cells;
  r.steps = c.steps + padding;
  r.batch = static_cast<std::int64_t>(order.size());
  r.has_state = c.has_state;
  const std::int64_t width = c.config.input_size;
  r.x = Tensor(c.config.batch_first ? Shape{r.batch, r.steps, width} : Shape{r.steps, r.batch, width});
  std::ranges::fill(r.x.data, 1e30f);
  r.state = r.zero_state();
  for (std::int64_t to = 0; to < r.batch; ++to) {
    const std::int64_t from = order[static_cast<std::size_t>(to)], length = length_of(c, from);
    const Tensor row = take_row(c.x, c.config.batch_first, from, 0, length);
    for (std::int64_t t = 0; t < length; ++t) {
      const std::int64_t at = c.config.batch_first ? to * r.steps + t : t * r.batch + to;
      std::copy_n(row.data.begin() + t * width, width, r.x.data.begin() + at * width);
    }
    if (padding > 0 || !c.lengths.empty()) r.lengths.push_back(length);
    if (!c.has_state) continue;
    const auto copy_state = [&](const Tensor& source, Tensor& target) {
      const std::int64_t states = source.shape[0], size = source.shape.back();
      for (std::int64_t s = 0; s < states; ++s) {
        std::copy_n(source.data.begin() + (s * c.batch + from) * size, size,
                    target.data.begin() + (s * r.batch + to) * size);
      }
    };
    copy_state(c.state.h, r.state.h);
    if (c.has_c()) copy_state(c.state.c, r.state.c);
  }
  return r;
}

class RowsTest : public BackendTest {
 protected:
  /// Calls check(case, layer, result of the whole case) for many cases that `use` accepts.
  template <class Use, class Check>
  void for_each_case(const Use& use, const Check& check) {
    int used = 0;
    for (std::uint64_t seed = 0; used < case_count(size()) && !HasFailure(); ++seed) {
      LstmCase c = random_lstm_case(seed);
      if (!use(c)) continue;
      ++used;
      for (const LstmKind& kind : kinds()) {
        SCOPED_TRACE(kind.name + ", seed " + std::to_string(seed) + ": " + c.text());
        const AnyLstm layer(c, kind, backend());
        check(c, layer, layer.forward(c.x, c.has_state ? &c.state : nullptr, c.lengths));
      }
    }
    ASSERT_GT(used, 0);
  }
};

void expect_row(const LSTMResult& whole, bool batch_first, std::int64_t b, std::int64_t length,
                const LSTMResult& alone) {
  EXPECT_EQ(first_difference(take_row(whole.output, batch_first, b, 0, length), alone.output), "")
      << "output of row " << b;
  const LSTMState state = take_state(whole.state, b);
  EXPECT_EQ(first_difference(state.h, alone.state.h), "") << "hn of row " << b;
  EXPECT_EQ(first_difference(state.c, alone.state.c), "") << "cn of row " << b;
}

// Each sequence of a batch has the output that it has alone and unbatched; past its length the output is zero.
TEST_P(RowsTest, LstmRowAlone) {
  for_each_case([](const LstmCase& c) { return !c.unbatched; },
                [](const LstmCase& c, const AnyLstm& layer, const LSTMResult& whole) {
                  for (std::int64_t b = 0; b < c.batch; ++b) {
                    const std::int64_t length = length_of(c, b);
                    const LSTMState state = c.has_state ? take_state(c.state, b) : LSTMState();
                    const Tensor x = take_row(c.x, c.config.batch_first, b, 0, length);
                    expect_row(whole, c.config.batch_first, b, length,
                               layer.forward(x, c.has_state ? &state : nullptr));
                    const Tensor rest = take_row(whole.output, c.config.batch_first, b, length, c.steps - length);
                    EXPECT_EQ(first_difference(rest, Tensor(rest.shape)), "") << "after the end of row " << b;
                  }
                });
}

TEST_P(RowsTest, LstmPermutedAndPadded) {
  for_each_case([](const LstmCase& c) { return !c.unbatched && c.batch > 1; },
                [](const LstmCase& c, const AnyLstm& layer, const LSTMResult& whole) {
                  Random random(static_cast<std::uint64_t>(c.batch * 100 + c.steps));
                  std::vector<std::int64_t> order(static_cast<std::size_t>(c.batch));
                  std::iota(order.begin(), order.end(), 0);
                  for (std::size_t i = order.size(); i > 1; --i) {
                    std::swap(order[i - 1],
                              order[static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(i) - 1))]);
                  }
                  order.push_back(order[0]);  // a row twice
                  for (std::int64_t padding : {0, 3}) {
                    const LstmCase r = rearranged(c, order, padding);
                    const LSTMResult other = layer.forward(r.x, c.has_state ? &r.state : nullptr, r.lengths);
                    for (std::size_t to = 0; to < order.size(); ++to) {
                      const auto row = static_cast<std::int64_t>(to);
                      const std::int64_t length = length_of(c, order[to]);
                      const LSTMState state = take_state(other.state, row);
                      expect_row(whole, c.config.batch_first, order[to], length,
                                 {take_row(other.output, c.config.batch_first, row, 0, length), state});
                    }
                  }
                });
}

/// Steps first..first + count of all rows of a batch without lengths.
Tensor take_steps(const Tensor& x, const LstmCase& c, std::int64_t first, std::int64_t count) {
  Tensor part(c.unbatched            ? Shape{count, x.shape.back()}
              : c.config.batch_first ? Shape{c.batch, count, x.shape.back()}
                                     : Shape{count, c.batch, x.shape.back()});
  const std::int64_t width = x.shape.back();
  for (std::int64_t b = 0; b < c.batch; ++b) {
    const Tensor row = take_row(x, c.config.batch_first, b, first, count);
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t at = !c.unbatched && c.config.batch_first ? b * count + t : t * c.batch + b;
      std::copy_n(row.data.begin() + t * width, width, part.data.begin() + at * width);
    }
  }
  return part;
}

void check_streamed(const LstmCase& c, const AnyLstm& layer, const LSTMResult& whole) {
  for (std::int64_t piece : {1, 2, 5}) {
    LSTMState state = c.has_state ? c.state : c.zero_state();
    Workspace workspace;
    for (std::int64_t first = 0; first < c.steps; first += piece) {
      const std::int64_t count = std::min(piece, c.steps - first);
      const Tensor x = take_steps(c.x, c, first, count);
      Tensor y(x.shape.with_back(c.config.output_size()));
      // The state in place: hn may be h0 and cn may be c0.
      layer.forward(x.view(), y.view(), state_in_place(state), workspace);
      ASSERT_EQ(first_difference(y, take_steps(whole.output, c, first, count)), "")
          << "steps " << first << " and on, " << piece << " at a time";
    }
    EXPECT_EQ(first_difference(state.h, whole.state.h), "") << "hn, " << piece << " steps at a time";
    EXPECT_EQ(first_difference(state.c, whole.state.c), "") << "cn, " << piece << " steps at a time";
  }
}

TEST_P(RowsTest, LstmStreamed) {
  for_each_case([](const LstmCase& c) { return !c.config.bidirectional && c.lengths.empty() && c.steps > 1; },
                check_streamed);
}

TEST_P(RowsTest, LargeLstmStreamed) {
  if (size() == 0) GTEST_SKIP() << "not in a small test";
  int used = 0;
  for (const LstmCase& c : large_lstm_cases()) {
    if (c.config.bidirectional || !c.lengths.empty()) continue;
    ++used;
    SCOPED_TRACE(c.text());
    const AnyLstm layer(c, kinds()[1], backend());
    check_streamed(c, layer, layer.forward(c.x, &c.state));
  }
  EXPECT_GT(used, 0);
}

TEST_P(RowsTest, LinearRowAlone) {
  Random random(11);
  for (auto [m, n, k] : {std::tuple{1, 1, 1}, {2, 3, 5}, {7, 33, 64}, {13, 16, 130}, {700, 9, 31}, {5, 3, 2500}}) {
    const Tensor weight = random_tensor({n, k}, random), bias = random_tensor({n}, random);
    Tensor x = random_tensor({m, k}, random);
    for (int r = 0; r < m; ++r) {  // rows of very different size: a shared scale would show
      const float size = std::ldexp(1.0f, static_cast<int>(random.integer(-20, 20)));
      for (int i = 0; i < k; ++i) x.data[static_cast<std::size_t>(r * k + i)] *= size;
    }
    const Linear layer(weight.view(), bias.view(), false, &backend());
    const auto quantized = Linear::from_float(layer);
    const Tensor y = quantized.forward(x), y_float = layer.forward(x);
    for (int r = 0; r < m; ++r) {
      const Tensor row = take_row(x, false, 0, r, 1), one(Shape{k}, row.data);
      EXPECT_EQ(first_difference(Tensor(Shape{n}, take_row(y, false, 0, r, 1).data), quantized.forward(one)), "")
          << "row " << r;
      EXPECT_EQ(first_difference(Tensor(Shape{n}, take_row(y_float, false, 0, r, 1).data), layer.forward(one)), "")
          << "float row " << r;
    }
  }
}

/// Milliseconds of this thread's CPU time that a call takes, the least of three.
template <class F>
double milliseconds(const F& call) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
  };
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double start = now();
    call();
    least = std::min(least, now() - start);
  }
  return least;
}

// A large batch of sequences from short to long, which a call orders from long to short. Ordering by insertion took
// some 40 times as long as the same batch in the right order already.
TEST_P(RowsTest, ManyRaggedRows) {
  LstmCase c;
  c.config.input_size = 2;
  c.config.hidden_size = 3;
  c.steps = 2;
  c.batch = size() == 0 ? 2000 : 20000;
  Random random(12);
  fill(c, random);
  for (std::int64_t b = 0; b < c.batch; ++b) c.lengths.push_back(b < c.batch / 2 ? 1 : 2);
  const std::vector<std::int64_t> falling(c.lengths.rbegin(), c.lengths.rend());
  const AnyLstm layer(c, kinds()[1], backend());
  const LSTMResult whole = layer.forward(c.x, nullptr, c.lengths);
  for (const std::int64_t b : {std::int64_t{0}, c.batch / 2 - 1, c.batch / 2, c.batch - 1}) {
    const std::int64_t length = length_of(c, b);
    expect_row(whole, false, b, length, layer.forward(take_row(c.x, false, b, 0, length), nullptr));
  }
  if (size() == 0) return;
  Tensor y(c.x.shape.with_back(3));
  Workspace workspace;
  const auto time_of = [&](const std::vector<std::int64_t>& lengths) {
    return milliseconds([&] { layer.forward(c.x.view(), y.view(), {{}, {}, {}, {}, lengths}, workspace); });
  };
  const double ordered = time_of(falling), rising = time_of(c.lengths);
  EXPECT_LT(rising, 4 * ordered + 5) << "ms";
}

BYTEGATE_ON_EVERY_BACKEND(RowsTest);

}  // namespace
}  // namespace bytegate::testing
