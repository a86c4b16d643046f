// Runs one layer on the avx2 backend, for instructions_test.py to count: forward linear|lstm SIZES, as bench_layers
// names them. The first call makes the workspace grow; `counted_forward` is the second.
#include <bytegate/layers.h>

#include <cstdio>
#include <functional>
#include <random>
#include <string>

using namespace bytegate;

/// Found by its name, so not inlined; and not merged with another function.
extern "C" __attribute__((noinline)) void counted_forward(const std::function<void()>& forward) {
  forward();
  asm volatile("" ::: "memory");
}

namespace {

Tensor random_tensor(const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  Tensor t(shape);
  for (float& v : t.data)
    v = static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-34f;  // +-1/8: the same with every library
  return t;
}

void run(const std::function<void()>& forward) {
  forward();
  counted_forward(forward);
}

void run_linear(std::int64_t m, std::int64_t k, std::int64_t n, const Backend& backend) {
  const auto layer = Linear::from_float(
      Linear(random_tensor({n, k}, 1).view(), random_tensor({n}, 2).view(), false, &backend), {}, &backend);
  const Tensor x = random_tensor({m, k}, 3);
  Tensor y(Shape{m, n});
  Workspace workspace;
  run([&] { layer.forward(x.view(), y.view(), workspace); });
}

void run_lstm(const LSTMConfig& config, std::int64_t steps, std::int64_t batch, const Backend& backend) {
  const std::int64_t gates = 4 * config.hidden_size;
  std::vector<RecurrentWeights> cells;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    const auto seed = static_cast<unsigned>(10 * layer);
    cells.push_back({random_tensor({gates, config.layer_input_size(layer)}, seed + 1),
                     random_tensor({gates, config.hidden_size}, seed + 2), random_tensor({gates}, seed + 3),
                     random_tensor({gates}, seed + 4), Tensor()});
  }
  const auto layer = LSTM::from_float(LSTM(config, cells, &backend), {}, &backend);
  const Tensor x = random_tensor({steps, batch, config.input_size}, 5);
  Tensor y(Shape{steps, batch, config.hidden_size});
  Workspace workspace;
  run([&] { layer.forward(x.view(), y.view(), {}, workspace); });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc == 3 ? argv[1] : "";
  long s[5] = {};
  const int count = argc == 3 ? std::sscanf(argv[2], "%ld,%ld,%ld,%ld,%ld", &s[0], &s[1], &s[2], &s[3], &s[4]) : 0;
  try {
    const Backend& backend = find_backend("avx2");
    if (kind == "linear" && count == 3) {
      run_linear(s[0], s[1], s[2], backend);
      return 0;
    }
    if (kind == "lstm" && count == 5) {
      LSTMConfig config;
      config.input_size = s[0];
      config.hidden_size = s[1];
      config.num_layers = s[2];
      run_lstm(config, s[3], s[4], backend);
      return 0;
    }
    std::fprintf(stderr, "usage: %s linear M,K,N | lstm I,H,LAYERS,T,B\n", argv[0]);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 2;
}
