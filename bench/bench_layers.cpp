// Times whole layers in int8 (per_row scheme), on every backend this CPU supports:
//   bench_layers [--linear=M,K,N ...] [--lstm=I,H,LAYERS,T,B ...] [--gru=I,H,LAYERS,T,B ...]
//                [--conv1d=IN,OUT,KERNEL,STRIDE,T,B ...] [--threads=N] [--float]
//                [--inputs=normal|uniform|extremes] [Google Benchmark's flags]
// With --float, the float32 layers of the same shapes beside them, as linear_f32/..., lstm_f32/... and gru_f32/.... A
// convolution, without padding, is timed on channels-last tensors and, as conv1d_bct/..., in PyTorch's layout.
// Each layer's output is checked once before it is timed.
#include <benchmark/benchmark.h>
#include <bytegate/layers.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bench/shapes.h"

namespace {

using namespace bytegate;

using namespace bytegate::bench;

Linear make_linear(const Sizes& s, const Backend& backend) {
  const float bound = 1 / std::sqrt(static_cast<float>(s[1]));
  return Linear(random_tensor({s[2], s[1]}, bound, 1).view(), random_tensor({s[2]}, bound, 2).view(), false, &backend);
}

/// L: LSTM or GRU, of so many gates.
template <class L>
L make_recurrent(const Sizes& s, std::int64_t gates, const Backend& backend) {
  RecurrentConfig config;
  config.input_size = s[0];
  config.hidden_size = s[1];
  config.num_layers = s[2];
  const float bound = 1 / std::sqrt(static_cast<float>(s[1]));
  std::vector<RecurrentWeights> cells;
  for (std::int64_t layer = 0; layer < s[2]; ++layer) {
    const auto seed = static_cast<unsigned>(10 * layer);
    const std::int64_t rows = gates * s[1];
    cells.push_back({random_tensor({rows, config.layer_input_size(layer)}, bound, seed + 1),
                     random_tensor({rows, s[1]}, bound, seed + 2), random_tensor({rows}, bound, seed + 3),
                     random_tensor({rows}, bound, seed + 4), Tensor()});
  }
  return L(config, cells, &backend);
}

Conv1d make_conv1d(const Sizes& s, bool channels_last, const Backend& backend) {
  const float bound = 1 / std::sqrt(static_cast<float>(s[0] * s[2]));
  const Conv1dConfig config{
      .in_channels = s[0], .out_channels = s[1], .kernel_size = s[2], .stride = s[3], .channels_last = channels_last};
  return Conv1d(config, random_tensor({s[1], s[0], s[2]}, bound, 1).view(), random_tensor({s[1]}, bound, 2).view(),
                &backend);
}

bool same_bits(const float* a, const float* b, std::size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

/// Signal-to-quantization-noise ratio in dB.
double sqnr(const Tensor& reference, const Tensor& out) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < out.data.size(); ++i) {
    const double d = static_cast<double>(reference.data[i]) - out.data[i];
    signal += static_cast<double>(reference.data[i]) * reference.data[i];
    noise += d * d;
  }
  return 10 * std::log10(signal / noise);
}

/// Empty if y is what it should be: int8 and float near each other, and its first and last row, alone and on the scalar
/// backend, the same bits. `other` is the same layer in the other arithmetic, `plain` the layer that was timed, on the
/// scalar backend.
template <class Other, class Plain>
std::string check_linear(const Sizes& s, const Other& other, const Plain& plain, const Tensor& x, const Tensor& y) {
  if (!(sqnr(other.forward(x), y) > 30)) return "int8 and float are not near each other";
  for (std::int64_t row : {std::int64_t{0}, s[0] - 1}) {
    const auto from = static_cast<std::size_t>(row * s[1]), at = static_cast<std::size_t>(row * s[2]);
    const Tensor one = plain.forward(Tensor(
        Shape{1, s[1]}, {x.data.begin() + static_cast<long>(from), x.data.begin() + static_cast<long>(from) + s[1]}));
    if (!same_bits(one.data.data(), y.data.data() + at, one.data.size()))
      return "the output differs from the scalar backend's";
  }
  return "";
}

/// The same for a recurrent layer: the first two steps of the first and the last sequence.
template <class Other, class Plain>
std::string check_recurrent(const Sizes& s, const Other& other, const Plain& plain, const Tensor& x, const Tensor& y) {
  if (!(sqnr(other.forward(x).output, y) > 20)) return "int8 and float are not near each other";
  const std::int64_t steps = std::min<std::int64_t>(s[3], 2), batch = s[4];
  for (std::int64_t b : {std::int64_t{0}, batch - 1}) {
    Tensor part(Shape{steps, s[0]});
    for (std::int64_t t = 0; t < steps; ++t)
      std::copy_n(x.data.begin() + (t * batch + b) * s[0], s[0], part.data.begin() + t * s[0]);
    const Tensor one = plain.forward(part).output;
    for (std::int64_t t = 0; t < steps; ++t) {
      if (!same_bits(one.data.data() + t * s[1], y.data.data() + (t * batch + b) * s[1],
                     static_cast<std::size_t>(s[1]))) {
        return "the output differs from the scalar backend's";
      }
    }
  }
  return "";
}

/// The same for a convolution: the first item's first step in channels-last order.
template <class Other, class Plain>
std::string check_conv1d(const Sizes& s, const Other& other, const Plain& plain, const Tensor& x, const Tensor& y) {
  if (!(sqnr(other.forward(x), y) > 30)) return "int8 and float are not near each other";
  const bool last = plain.config().channels_last;
  Tensor part(last ? Shape{s[2], s[0]} : Shape{s[0], s[2]});
  for (std::int64_t k = 0; k < s[2]; ++k) {
    for (std::int64_t c = 0; c < s[0]; ++c) {
      part.data[static_cast<std::size_t>(last ? k * s[0] + c : c * s[2] + k)] =
          x.data[static_cast<std::size_t>(last ? k * s[0] + c : c * s[4] + k)];
    }
  }
  const Tensor one = plain.forward(part);
  const std::int64_t step = last ? 1 : y.shape[2];
  for (std::int64_t o = 0; o < s[1]; ++o) {
    if (!same_bits(&one.data[static_cast<std::size_t>(o)], &y.data[static_cast<std::size_t>(o * step)], 1))
      return "the output differs from the scalar backend's";
  }
  return "";
}

void count(benchmark::State& state, double macs) {
  state.counters["GMAC/s"] = benchmark::Counter(macs * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

enum class Arithmetic { int8, float32 };

/// layer.forward(x, y, ...) once for the check, then as often as Google Benchmark asks.
template <class Forward, class Check>
void time_forward(benchmark::State& state, const Forward& forward, const Check& check, double macs) {
  forward();
  if (const std::string wrong = check(); !wrong.empty()) return state.SkipWithError(wrong.c_str());
  for (auto _ : state) {
    forward();
    benchmark::ClobberMemory();
  }
  count(state, macs);
}

void run_linear(benchmark::State& state, const Sizes& s, const Backend& backend, int threads, Arithmetic arithmetic) {
  const Linear layer = make_linear(s, backend);
  const Linear quantized = Linear::from_float(layer);
  const Tensor x = random_input({s[0], s[1]}, 3);
  Tensor y(Shape{s[0], s[2]});
  Workspace workspace(threads);
  const auto time = [&](const auto& timed, const auto& other, const auto& plain) {
    time_forward(
        state, [&] { timed.forward(x.view(), y.view(), workspace); },
        [&] { return check_linear(s, other, plain(make_linear(s, plain_backend())), x, y); },
        static_cast<double>(s[0] * s[1] * s[2]));
  };
  if (arithmetic == Arithmetic::float32) return time(layer, quantized, [](const Linear& scalar) { return scalar; });
  time(quantized, layer, [](const Linear& scalar) { return Linear::from_float(scalar); });
}

template <class L, std::int64_t gates>
void run_recurrent(benchmark::State& state, const Sizes& s, const Backend& backend, int threads,
                   Arithmetic arithmetic) {
  const L layer = make_recurrent<L>(s, gates, backend);
  const L quantized = L::from_float(layer);
  const Tensor x = random_input({s[3], s[4], s[0]}, 3);
  Tensor y(Shape{s[3], s[4], s[1]});
  Workspace workspace(threads);
  const auto time = [&](const auto& timed, const auto& other, const auto& plain) {
    time_forward(
        state, [&] { timed.forward(x.view(), y.view(), {}, workspace); },
        [&] { return check_recurrent(s, other, plain(make_recurrent<L>(s, gates, plain_backend())), x, y); },
        static_cast<double>(s[3] * s[4] * gates * s[1] * (s[0] + s[1] + (s[2] - 1) * 2 * s[1])));
  };
  if (arithmetic == Arithmetic::float32) return time(layer, quantized, [](const L& scalar) { return scalar; });
  time(quantized, layer, [](const L& scalar) { return L::from_float(scalar); });
}

template <bool channels_last>
void run_conv1d(benchmark::State& state, const Sizes& s, const Backend& backend, int threads, Arithmetic arithmetic) {
  if (s[4] < s[2]) return state.SkipWithError("fewer steps than the kernel has");
  const Conv1d layer = make_conv1d(s, channels_last, backend);
  const Conv1d quantized = Conv1d::from_float(layer);
  const Tensor x = random_input(channels_last ? Shape{s[5], s[4], s[0]} : Shape{s[5], s[0], s[4]}, 3);
  Tensor y(layer.output_shape(x.shape));
  Workspace workspace(threads);
  const auto time = [&](const auto& timed, const auto& other, const auto& plain) {
    time_forward(
        state, [&] { timed.forward(x.view(), y.view(), workspace); },
        [&] { return check_conv1d(s, other, plain(make_conv1d(s, channels_last, plain_backend())), x, y); },
        static_cast<double>(static_cast<std::int64_t>(y.data.size()) * s[0] * s[2]));
  };
  if (arithmetic == Arithmetic::float32) return time(layer, quantized, [](const Conv1d& scalar) { return scalar; });
  time(quantized, layer, [](const Conv1d& scalar) { return Conv1d::from_float(scalar); });
}

/// Takes `flag` out of argv; whether it was there.
bool take_flag(int& argc, char** argv, const char* flag) {
  char** const end =
      std::remove_if(argv + 1, argv + argc, [&](const char* argument) { return std::strcmp(argument, flag) == 0; });
  const bool found = end != argv + argc;
  argc = static_cast<int>(end - argv);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  parse_inputs_flag(argc, argv);
  auto shapes = parse_flags(argc, argv, {{"linear", 3}, {"lstm", 5}, {"gru", 5}, {"conv1d", 6}, {"threads", 1}});
  const bool floats = take_flag(argc, argv, "--float");
  const int threads = shapes["threads"].empty() ? 1 : static_cast<int>(shapes["threads"].back()[0]);
  if (shapes["linear"].empty() && shapes["lstm"].empty() && shapes["gru"].empty() && shapes["conv1d"].empty()) {
    shapes["linear"] = {{1, 1024, 1024}, {1, 4096, 4096}, {16, 1024, 1024}, {128, 1024, 1024}, {512, 1024, 1024}};
    shapes["lstm"] = {{64, 64, 1, 100, 1}, {128, 128, 1, 100, 1}, {512, 512, 2, 35, 1},   {1024, 1024, 1, 50, 1},
                      {64, 64, 1, 50, 8},  {512, 512, 2, 35, 16}, {1024, 1024, 1, 50, 32}};
    shapes["gru"] = {{64, 64, 1, 100, 1}, {256, 256, 2, 50, 1}, {512, 512, 1, 35, 16}};
    shapes["conv1d"] = {{64, 64, 3, 1, 1000, 1}};
  }
  const auto add = [&](const std::string& kind, const Backend& backend, const std::vector<const char*>& letters,
                       const auto& run) {
    const auto add_one = [&](const Sizes& s, const std::string& segment, Arithmetic arithmetic) {
      const std::string name = name_of(segment, backend, letters, s) + "/threads:" + std::to_string(threads);
      const auto call = [s, &backend, threads, run, arithmetic](benchmark::State& state) {
        run(state, s, backend, threads, arithmetic);
      };
      benchmark::RegisterBenchmark(name.c_str(), call)->Unit(benchmark::kMicrosecond);
    };
    for (const Sizes& s : shapes[kind]) {
      add_one(s, kind, Arithmetic::int8);
      if (floats) add_one(s, kind + "_f32", Arithmetic::float32);
    }
  };
  shapes["conv1d_bct"] = shapes["conv1d"];
  for (const BackendInfo& info : list_backends()) {
    if (!info.supported) continue;
    add("linear", *info.backend, {"m", "k", "n"}, run_linear);
    add("lstm", *info.backend, {"i", "h", "layers", "t", "b"}, run_recurrent<LSTM, 4>);
    add("gru", *info.backend, {"i", "h", "layers", "t", "b"}, run_recurrent<GRU, 3>);
    add("conv1d", *info.backend, {"i", "o", "k", "s", "t", "b"}, run_conv1d<true>);
    add("conv1d_bct", *info.backend, {"i", "o", "k", "s", "t", "b"}, run_conv1d<false>);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
