// Loading an int8 model, and quantizing its float form while it is loaded: bytes a second and peak memory.
//   bench_load [--rows N] [--cols K] [--layers L] [--folder DIR] [--runs R] [--threads T]
// Writes L Linear layers of [N, K] (default: one of 32,000 x 2,048, 65 MB as int8) to DIR, float and int8, and reads
// them back from the page cache on T threads (default: 1), each run in a process of its own.
#include <bytegate/model_file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace bytegate;

struct Arguments {
  std::int64_t rows = 32000, cols = 2048, layers = 1;
  int runs = 5, threads = 1;
  std::filesystem::path folder = std::filesystem::temp_directory_path();
};

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--rows") a.rows = std::stoll(value);
    if (key == "--cols") a.cols = std::stoll(value);
    if (key == "--layers") a.layers = std::stoll(value);
    if (key == "--runs") a.runs = std::stoi(value);
    if (key == "--threads") a.threads = std::stoi(value);
    if (key == "--folder") a.folder = value;
  }
  return a;
}

void write_float_model(const Arguments& a, const std::filesystem::path& path) {
  SafetensorsWriter writer;
  std::string architecture;
  for (std::int64_t i = 0; i < a.layers; ++i) {
    std::string name = "fc";
    name += std::to_string(i);
    architecture += i == 0 ? "[" : ",";
    architecture += R"({"name":")" + name + R"(","kind":"linear"})";
    const std::int64_t shape[] = {a.rows, a.cols};
    writer.add(name + ".weight", "F32", shape, [&a, i](const SafetensorsWriter::Sink& sink) {
      std::vector<float> row(static_cast<std::size_t>(a.cols));
      std::uint32_t state = static_cast<std::uint32_t>(i) + 1;
      for (std::int64_t r = 0; r < a.rows; ++r) {
        for (float& v : row) {
          state = state * 1664525u + 1013904223u;
          v = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
        }
        sink(std::as_bytes(std::span(row)));
      }
    });
  }
  writer.set_metadata("architecture", architecture + "]");
  writer.save(path);
}

/// Bytes of memory that this process has held at most.
double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

struct Figures {
  double seconds, peak;  ///< peak above that of the process before
  float check;           ///< a value of the model's output
};

/// f() in a process of its own.
template <class F>
Figures measure(const F& f) {
  int ends[2];
  if (pipe(ends) != 0) std::exit(2);
  std::fflush(stdout);
  if (const pid_t child = fork(); child == 0) {
    const double before = peak_bytes();
    const auto begin = std::chrono::steady_clock::now();
    const Sequential model = f();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    const double peak = peak_bytes() - before;
    const auto& linear = dynamic_cast<const Linear&>(*model.layers().back().layer);
    Tensor x(Shape{1, linear.in_features()});
    for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(i % 11) - 5.0f;
    const Figures figures{time.count(), peak, linear.forward(x).data.back()};
    _exit(write(ends[1], &figures, sizeof figures) == sizeof figures ? 0 : 2);
  }
  Figures figures{};
  int status = 0;
  const bool complete = read(ends[0], &figures, sizeof figures) == sizeof figures;
  wait(&status);
  close(ends[0]);
  close(ends[1]);
  if (!complete || status != 0) std::exit(2);
  return figures;
}

template <class F>
Figures median(int runs, const F& f) {
  std::vector<Figures> all;
  for (int i = 0; i < runs; ++i) all.push_back(measure(f));
  std::ranges::sort(all, {}, &Figures::seconds);
  return all[all.size() / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  const Arguments a = parse(argc, argv);
  const auto unique = std::to_string(getpid());
  const auto floats = a.folder / ("bench_load_float_" + unique), int8s = a.folder / ("bench_load_int8_" + unique);
  write_float_model(a, floats);
  const QuantizeOptions quantize;
  const LoadOptions plain{.num_threads = a.threads}, quantizing{.quantize = &quantize, .num_threads = a.threads};
  save_model(load_model(floats, quantizing), int8s);

  const double weights = static_cast<double>(a.rows * a.cols * a.layers),
               tensor = static_cast<double>(a.rows * a.cols) * 4;
  const Figures load = median(a.runs, [&] { return load_model(int8s, plain); });
  const Figures quantized = median(a.runs, [&] { return load_model(floats, quantizing); });
  std::filesystem::remove(floats);
  std::filesystem::remove(int8s);
  if (load.check != quantized.check) {
    std::fprintf(stderr, "bench_load: the loaded model's output differs from the quantized one's\n");
    return 1;
  }
  const double limit = 1.3 * weights + 32e6;
  std::printf("%lld layers of [%lld, %lld], median of %d runs, threads: %d\n", static_cast<long long>(a.layers),
              static_cast<long long>(a.rows), static_cast<long long>(a.cols), a.runs, a.threads);
  std::printf("load int8:      %7.1f MB in %7.1f ms, %5.2f GB/s; peak memory %6.1f MB, limit %6.1f MB\n", weights / 1e6,
              load.seconds * 1e3, weights / load.seconds / 1e9, load.peak / 1e6, limit / 1e6);
  std::printf("quantize float: %7.1f MB in %7.1f ms, %5.2f GB/s; peak memory %6.1f MB, limit %6.1f MB\n",
              weights * 4 / 1e6, quantized.seconds * 1e3, weights * 4 / quantized.seconds / 1e9, quantized.peak / 1e6,
              (limit + tensor) / 1e6);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_load: %s\n", error.what());
  return 1;
}
