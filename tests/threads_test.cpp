// Any number of threads share one model, each with its own workspace and state, and get the bits that one gets. Meant
// for the tsan preset too.
#include <bytegate/model.h>

#include <thread>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

constexpr int kThreads = 8;

class ThreadsTest : public BackendTest {};

Sequential sample_model(const Backend& backend) {
  Random random(8);
  LSTMConfig config;
  config.input_size = 24;
  config.hidden_size = 40;
  config.num_layers = 2;
  config.proj_size = 17;
  Sequential model;
  model.add("in", Linear(random_tensor({24, 16}, random).view(), random_tensor({24}, random).view(), true, &backend));
  model.add("lstm", LSTM(config, to_cells(random_cells(config, random)), &backend));
  LSTMConfig gru;
  gru.input_size = gru.hidden_size = 17;
  model.add("gru", GRU(gru, to_cells(random_cells(gru, random, 1, 3)), &backend));
  model.add("relu", ReLU());
  model.add("out", Linear(random_tensor({11, 17}, random).view(), {}, false, &backend));
  return model;
}

/// A few calls with the state carried; the outputs end to end.
Tensor stream(const Sequential& model, std::uint64_t seed) {
  constexpr std::int64_t calls = 6;
  Random random(seed);
  Workspace workspace;
  ModelState state;
  Tensor outputs(Shape{calls, 5, 3, 11});
  for (std::int64_t i = 0; i < calls; ++i) {
    const Tensor x = random_tensor({5, 3, 16}, random);
    model.forward(x.view(), {outputs.data.data() + i * 5 * 3 * 11, Shape{5, 3, 11}}, workspace, &state);
  }
  return outputs;
}

void compare_threads(const Sequential& model) {
  std::vector<Tensor> expected(kThreads), got(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) expected[i] = stream(model, i / 2);  // some the same, some not
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back([&, i] { got[i] = stream(model, i / 2); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < kThreads; ++i) EXPECT_EQ(first_difference(got[i], expected[i]), "") << "thread " << i;
}

TEST_P(ThreadsTest, ShareOneModel) {
  const Sequential model = sample_model(backend());
  compare_threads(model);
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch()}) {
    QuantizeOptions options;
    options.scheme = scheme;
    compare_threads(quantize_dynamic(model, options));
  }
}

// Copies of a layer share its weights; they come and go in threads.
TEST_P(ThreadsTest, CopiesComeAndGo) {
  const Sequential model = quantize_dynamic(sample_model(backend()));
  const Tensor expected = stream(model, 1);
  std::vector<std::thread> threads;
  std::vector<Tensor> got(kThreads);
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const Sequential copy = model;
      got[i] = stream(copy, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& outputs : got) EXPECT_EQ(first_difference(outputs, expected), "");
}

BYTEGATE_ON_EVERY_BACKEND(ThreadsTest);

// First use from many threads at once.
TEST(ThreadsFirstUse, AllGetTheSameBackend) {
  std::vector<const Backend*> got(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      list_backends();
      got[i] = &default_backend();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Backend* backend : got) EXPECT_EQ(backend, got[0]);
}

}  // namespace
}  // namespace bytegate::testing
