// Times each kernel of every backend this CPU supports, and what the CPU can do at most, in the same run:
//   bench_kernels [--gemm=M,K,N ...] [--lstm_step=B,H ...] [--gru_step=B,H ...] [--rnn_step=B,H ...]
//                 [--gru_reset_step=B,H ...] [--gru_candidate_step=B,H ...] [--quantize_rows=M,K ...]
//                 [--inputs=normal|uniform|extremes] [Google Benchmark's flags]
// Names: peak/<backend>, peak_from_memory/<backend>/bytes:N and tile_gemm, vector_gemm (backends with tile registers),
// read/<backend>/bytes:N and read_four, gemm/<backend>/m:M/k:K/n:N, lstm_step/<backend>/b:B/h:H and so each step,
// quantize_rows/<backend>/m:M/k:K, sigmoid/<backend>/n:N, tanh/<backend>/n:N. The counter `of_ceiling` of a gemm or a
// step is its part of whichever bound is the lower: multiply-adds at peak, or its weights at the read bandwidth of
// a buffer of that size. Outputs are checked against the plain backend's before anything is timed.
#include <benchmark/benchmark.h>
#include <bytegate/backends.h>
#include <bytegate/layers.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <map>

#include "bench/ceiling.h"
#include "bench/shapes.h"
#include "layers/quant/packed_weights.h"

namespace {

using namespace bytegate;
using namespace bytegate::bench;
using detail::AlignedBuffer;
using detail::ChannelOrder;
using detail::PackedWeights;

/// Of this thread, so that other programs on the machine take nothing from a ceiling.
double seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The best of several short measurements of f(), which does `amount` of something: amount per second. The clock is a
/// system call of half a microsecond and read once for every millisecond of calls.
template <class F>
double best_rate(double amount, const F& f) {
  const auto time_of = [&](std::size_t calls) {
    const double start = seconds();
    for (std::size_t i = 0; i < calls; ++i) f();
    return seconds() - start;
  };
  std::size_t calls = 1;
  while (time_of(calls) < 1e-3) calls *= 2;
  double least = time_of(calls);
  for (int round = 0; round < 40; ++round) least = std::min(least, time_of(calls));
  return amount * static_cast<double>(calls) / least;
}

const Ceiling* ceiling_of(const Backend& backend) {
  for (const Ceiling* const* c = kCeilings; *c; ++c) {
    if (std::strcmp((*c)->name, backend.name) == 0) return *c;
  }
  return nullptr;
}

// The ceilings are the best seen so far, measured again for every benchmark: the clock of a shared machine may have
// been low before.
double peak_macs(const Ceiling& c) {
  static std::map<std::string, double> best;
  double& rate = best[c.name];
  return rate = std::max(rate, best_rate(static_cast<double>(c.macs) * 1000, [&] { c.products(1000); }));
}

double read_bandwidth(const Ceiling& c, std::size_t bytes) {
  static std::map<std::pair<std::string, std::size_t>, double> best;
  bytes = round_up(bytes, 4096);
  double& rate = best[{c.name, bytes}];
  const AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 1, bytes);
  for (const auto read : {c.read, c.read_four}) {
    rate = std::max(
        rate, best_rate(static_cast<double>(bytes), [&] { benchmark::DoNotOptimize(read(buffer.data(), bytes)); }));
  }
  return rate;
}

/// A product's operands on one backend.
struct Operands {
  AlignedBuffer staged, scales;
  StagedRows lhs{};
  PackedWeights weights;

  /// Read again and again.
  bool from_memory() const { return weights.bytes() >= detail::kBytesFromMemory; }

  /// gates: those of a recurrent matrix in its own layout, n rows in all; 0 for one of gemm.
  Operands(const Backend& backend, std::int64_t m, std::int64_t k, std::int64_t n, std::uint32_t gates)
      : weights(packed(*backend.kernels->int8, k, n, gates)) {
    const Kernels& kernels = *backend.kernels->int8;
    const Tensor x = random_input({m, k}, 1);
    const auto rows = static_cast<std::size_t>(m), cols = static_cast<std::size_t>(k);
    staged = AlignedBuffer(rows * weights.lhs_stride());
    scales = AlignedBuffer(rows * sizeof(RowScale));
    lhs = {staged.data(), weights.lhs_stride(), reinterpret_cast<RowScale*>(scales.data()), rows};
    const FloatRows floats{x.data.data(), cols, rows, cols};
    kernels.stage_rows(&floats, nullptr, nullptr, 0, &lhs);
  }

 private:
  static PackedWeights packed(const Kernels& kernels, std::int64_t k, std::int64_t n, std::uint32_t gates) {
    const Tensor w = random_tensor({n, k}, 1 / std::sqrt(static_cast<float>(k)), 2);
    const auto rows = static_cast<std::size_t>(n);
    const PackedLayout layout = gates > 0 ? recurrent_layout(kernels.layout, gates) : kernels.layout;
    const auto order = gates > 0
                           ? ChannelOrder::interleaved_gates(layout, panel_units(kernels.layout), gates, rows / gates)
                           : ChannelOrder::identity(layout, rows);
    return {kernels, layout, order, quantize_weight(w.view(), Scheme::per_row()), std::vector<float>(rows, 0.1f)};
  }
};

std::vector<float> gemm_once(const Backend& backend, void (*gemm)(const GemmArgs*), const Sizes& s) {
  const Operands o(backend, s[0], s[1], s[2], 0);
  std::vector<float> y(static_cast<std::size_t>(s[0] * s[2]));
  const auto n = static_cast<std::size_t>(s[2]);
  const GemmArgs args{o.lhs, o.weights.view(), y.data(), n, n, 0, o.weights.panels(), 0, o.from_memory()};
  gemm(&args);
  return y;
}

void count(benchmark::State& state, const Backend& backend, double macs, double bytes) {
  using benchmark::Counter;
  state.counters["GMAC/s"] = Counter(macs * 1e-9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
  if (const Ceiling* c = ceiling_of(backend)) {
    const double least = std::max(macs / peak_macs(*c), bytes / read_bandwidth(*c, static_cast<std::size_t>(bytes)));
    state.counters["of_ceiling"] = Counter(least, Counter::kIsIterationInvariantRate);
  }
}

void run_gemm(benchmark::State& state, const Backend& backend, void (*gemm)(const GemmArgs*), const Sizes& s) {
  if (gemm_once(backend, gemm, s) != gemm_once(plain_backend(), plain_backend().kernels->int8->gemm, s))
    return state.SkipWithError("the output differs from the plain backend's");
  const Operands o(backend, s[0], s[1], s[2], 0);
  std::vector<float> y(static_cast<std::size_t>(s[0] * s[2]));
  const auto n = static_cast<std::size_t>(s[2]);
  const GemmArgs args{o.lhs, o.weights.view(), y.data(), n, n, 0, o.weights.panels(), 0, o.from_memory()};
  for (auto _ : state) {
    gemm(&args);
    benchmark::ClobberMemory();
  }
  count(state, backend, static_cast<double>(s[0] * s[1] * s[2]), static_cast<double>(s[1] * s[2]));
}

/// One step from the same state each time; h, the part that is compared.
struct Step {
  Operands o;
  std::size_t units, padded, stride;
  std::vector<float> gates, c, h;
  std::vector<RowRange> ranges;

  Step(const Backend& backend, Cell cell, const Sizes& s)
      : o(backend, s[0], s[1], cell_gates(cell) * s[1], cell_gates(cell)),
        units(static_cast<std::size_t>(s[1])),
        padded(o.weights.channels() / cell_gates(cell)),
        stride(cell_input_gates(cell) * padded) {
    const std::size_t rows = o.lhs.rows;
    gates.assign(rows * stride, 0.25f);
    c.assign(rows * padded, 0.5f);
    h.assign(rows * units, 0.0f);
    ranges.resize(rows);
  }
  RecurrentStepArgs args() {
    return {o.lhs,
            o.weights.view(),
            gates.data(),
            stride,
            c.data(),
            padded,
            h.data(),
            units,
            units,
            ranges.data(),
            0,
            o.weights.panels(),
            0,
            0,
            o.from_memory()};
  }
};

std::vector<float> step_once(const Backend& backend, Cell cell, const Sizes& s) {
  Step step(backend, cell, s);
  const RecurrentStepArgs args = step.args();
  backend.kernels->int8->recurrent_step[static_cast<std::size_t>(cell)](&args);
  return step.h;
}

void run_step(benchmark::State& state, const Backend& backend, Cell cell, const Sizes& s) {
  const auto kernel = backend.kernels->int8->recurrent_step[static_cast<std::size_t>(cell)];
  if (!kernel) return state.SkipWithError("the backend has no step of this cell");
  if (step_once(backend, cell, s) != step_once(plain_backend(), cell, s))
    return state.SkipWithError("the output differs from the plain backend's");
  Step step(backend, cell, s);
  const RecurrentStepArgs args = step.args();
  for (auto _ : state) {
    kernel(&args);
    benchmark::ClobberMemory();
  }
  const std::int64_t weights = cell_gates(cell) * s[1] * s[1];
  count(state, backend, static_cast<double>(s[0] * weights), static_cast<double>(weights));
}

constexpr std::pair<const char*, Cell> kSteps[] = {{"lstm_step", Cell::lstm},
                                                   {"gru_step", Cell::gru},
                                                   {"rnn_step", Cell::rnn},
                                                   {"gru_reset_step", Cell::gru_reset},
                                                   {"gru_candidate_step", Cell::gru_candidate}};

void run_quantize_rows(benchmark::State& state, const Backend& backend, const Sizes& s) {
  const auto rows = static_cast<std::size_t>(s[0]), cols = static_cast<std::size_t>(s[1]);
  const Tensor x = random_input({s[0], s[1]}, 1);
  const Linear layer(random_tensor({40, s[1]}, 1, 2).view(), {});  // every staged value goes into its sums
  const auto product = [&](const Backend& on) { return Linear::from_float(layer, Scheme::per_row(), &on).forward(x); };
  if (product(backend).data != product(plain_backend()).data)
    return state.SkipWithError("the rows differ from the plain backend's");
  const Kernels& kernels = *backend.kernels->int8;
  const std::size_t stride = staged_stride(kernels, cols);
  std::vector<RowScale> scales(rows);
  const AlignedBuffer q(rows * stride);
  StagedRows out{q.data(), stride, scales.data(), rows};
  const FloatRows floats{x.data.data(), cols, rows, cols};
  for (auto _ : state) {
    kernels.stage_rows(&floats, nullptr, nullptr, 0, &out);
    benchmark::ClobberMemory();
  }
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(rows * cols * 4) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void run_elementwise(benchmark::State& state, ElementwiseFn f, double (*truth)(double)) {
  const Tensor x = random_tensor({4096}, 10, 1);
  Tensor y(x.shape);
  f(x.data.data(), y.data.data(), x.data.size());
  for (std::size_t i = 0; i < x.data.size(); ++i) {
    if (!(std::fabs(truth(static_cast<double>(x.data[i])) - static_cast<double>(y.data[i])) <= 3e-7))
      return state.SkipWithError("a value is off by more than 3e-7");
  }
  for (auto _ : state) {
    f(x.data.data(), y.data.data(), x.data.size());
    benchmark::ClobberMemory();
  }
  state.counters["G/s"] = benchmark::Counter(4096e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void run_peak(benchmark::State& state, const Ceiling& c) {
  for (auto _ : state) c.products(1000);
  state.counters["GMAC/s"] =
      benchmark::Counter(static_cast<double>(c.macs) * 1e-6, benchmark::Counter::kIsIterationInvariantRate);
}

void run_read(benchmark::State& state, std::int32_t (*read)(const void*, std::size_t), std::size_t bytes) {
  const AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 1, bytes);
  for (auto _ : state) benchmark::DoNotOptimize(read(buffer.data(), bytes));
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void run_peak_from_memory(benchmark::State& state, const TileCeiling& tiles, std::size_t bytes) {
  const AlignedBuffer buffer(bytes);
  std::memset(buffer.data(), 1, bytes);
  for (auto _ : state) tiles.products_from_memory(buffer.data(), bytes, 1000);
  state.counters["GMAC/s"] =
      benchmark::Counter(static_cast<double>(tiles.macs) * 1e-6, benchmark::Counter::kIsIterationInvariantRate);
}

template <class F>
void add(const std::string& name, const F& f) {
  benchmark::RegisterBenchmark(name.c_str(), f)->Unit(benchmark::kMicrosecond);
}

/// The products of tiles, and for few rows of weights within L2 both forms: where they cross, Kernels::tile_rows
/// belongs.
void add_tiles(const Backend& backend, const TileCeiling& tiles) {
  for (std::size_t kib : std::initializer_list<std::size_t>{16, 512}) {
    add(std::string("peak_from_memory/") + backend.name + "/bytes:" + std::to_string(kib << 10),
        [&tiles, kib](benchmark::State& state) { run_peak_from_memory(state, tiles, kib << 10); });
  }
  for (std::int64_t k : {64, 256, 1024}) {
    for (std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16}) {
      const Sizes s{m, k, k};
      add(name_of("tile_gemm", backend, {"m", "k", "n"}, s),
          [s, &backend, &tiles](benchmark::State& state) { run_gemm(state, backend, tiles.tile_gemm, s); });
      add(name_of("vector_gemm", backend, {"m", "k", "n"}, s),
          [s, &backend, &tiles](benchmark::State& state) { run_gemm(state, backend, tiles.vector_gemm, s); });
    }
  }
}

void add_backend(const Backend& backend, const std::map<std::string, std::vector<Sizes>>& shapes) {
  const std::string name = backend.name;
  if (const Ceiling* c = ceiling_of(backend)) {
    add("peak/" + name, [c](benchmark::State& state) { run_peak(state, *c); });
    for (std::size_t kib : std::initializer_list<std::size_t>{16, 64, 256, 512, 1024, 4096, 16384, 65536}) {
      const std::string of_size = name + "/bytes:" + std::to_string(kib << 10);
      add("read/" + of_size, [c, kib](benchmark::State& state) { run_read(state, c->read, kib << 10); });
      if (kib < 4096) continue;
      add("read_four/" + of_size, [c, kib](benchmark::State& state) { run_read(state, c->read_four, kib << 10); });
    }
    if (c->tiles) add_tiles(backend, *c->tiles);
  }
  for (const Sizes& s : shapes.at("gemm")) {
    add(name_of("gemm", backend, {"m", "k", "n"}, s),
        [s, &backend](benchmark::State& state) { run_gemm(state, backend, backend.kernels->int8->gemm, s); });
  }
  for (const auto& step : kSteps) {
    for (const Sizes& s : shapes.at(step.first)) {
      add(name_of(step.first, backend, {"b", "h"}, s),
          [s, &backend, cell = step.second](benchmark::State& state) { run_step(state, backend, cell, s); });
    }
  }
  for (const Sizes& s : shapes.at("quantize_rows")) {
    add(name_of("quantize_rows", backend, {"m", "k"}, s),
        [s, &backend](benchmark::State& state) { run_quantize_rows(state, backend, s); });
  }
  add("sigmoid/" + name + "/n:4096", [&backend](benchmark::State& state) {
    run_elementwise(state, backend.kernels->sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); });
  });
  add("tanh/" + name + "/n:4096", [&backend](benchmark::State& state) {
    run_elementwise(state, backend.kernels->tanh, [](double x) { return std::tanh(x); });
  });
}

}  // namespace

int main(int argc, char** argv) {
  parse_inputs_flag(argc, argv);
  std::vector<std::pair<std::string, std::size_t>> flags = {{"gemm", 3}, {"quantize_rows", 2}};
  for (const auto& step : kSteps) flags.emplace_back(step.first, 2);
  std::map<std::string, std::vector<Sizes>> shapes = parse_flags(argc, argv, flags);
  if (std::ranges::all_of(shapes, [](const auto& flag) { return flag.second.empty(); })) {
    shapes["gemm"] = {{1, 512, 2048},  {1, 1024, 1024},  {1, 1024, 4096}, {1, 4096, 4096},
                      {4, 1024, 1024}, {16, 1024, 1024}, {128, 512, 512}, {128, 1024, 1024}};
    for (const auto& step : kSteps) shapes[step.first] = {{1, 64}, {1, 128}, {1, 512}, {1, 1024}, {8, 64}, {16, 512}};
    shapes["quantize_rows"] = {{1, 64},    {64, 64},  {32, 128},  {1, 1024}, {128, 1024},
                               {128, 256}, {64, 512}, {16, 2048}, {8, 4096}};
  }
  for (const BackendInfo& info : list_backends()) {
    if (info.supported) add_backend(*info.backend, shapes);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
