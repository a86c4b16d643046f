// The memory of one quantized LSTM, each case in a process of its own, for size_test.py:
//   memory construct HIDDEN_SIZE | write HIDDEN_SIZE FILE | load FILE
// `load` and `construct` make the layer, then run it with everything else freed and the kernel's high-water mark set
// back. They print, in bytes:
//   packed N     what the int8 weights and their scales, sums and biases should take
//   workspace N  Workspace::bytes() afterwards
//   tensors N    input and output, the caller's
//   made N       peak of the process until the layer was there
//   run N        peak of the process while it ran
#include <bytegate/model_file.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

using namespace bytegate;

namespace {

constexpr std::int64_t kLayers = 2, kSteps = 35;

LSTMConfig config_of(std::int64_t hidden) {
  LSTMConfig config;
  config.input_size = hidden;
  config.hidden_size = hidden;
  config.num_layers = kLayers;
  return config;
}

std::vector<RecurrentWeights> cells_of(const LSTMConfig& config) {
  const std::int64_t gates = 4 * config.hidden_size;
  const auto count = static_cast<std::size_t>(gates * config.hidden_size);
  const QuantizedWeight weight{gates, config.hidden_size, std::vector<std::int8_t>(count, 3),
                               std::vector<float>(static_cast<std::size_t>(gates), 0.001f)};
  const Tensor bias(Shape{gates});
  return {static_cast<std::size_t>(config.num_layers), {weight, weight, bias, bias, {}}};
}

std::size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoul(line.c_str() + std::strlen("VmHWM:"), nullptr, 10) * 1024;
  }
  std::fprintf(stderr, "/proc/self/status has no VmHWM\n");
  std::exit(2);
}

/// The peak becomes what the process holds now.
void reset_peak() {
  malloc_trim(0);
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  if (file) return;
  std::fprintf(
      stderr,
      "/proc/self/clear_refs cannot be written, so the peak of a run cannot be told from that of what came before\n");
  std::exit(77);
}

/// int8 weights; a scale, a sum and a bias a channel of each of the two matrices; and the biases as they were given.
std::size_t packed_bytes(const LSTMConfig& config) {
  const auto gates = static_cast<std::size_t>(4 * config.hidden_size),
             hidden = static_cast<std::size_t>(config.hidden_size);
  return static_cast<std::size_t>(config.num_layers) * (2 * gates * hidden + 2 * gates * 12 + 2 * gates * 4);
}

template <class Forward>
void measure(const LSTMConfig& config, const Forward& forward) {
  const std::size_t made = peak_bytes();
  Tensor x(Shape{kSteps, 1, config.input_size}), y(Shape{kSteps, 1, config.hidden_size});
  std::fill(x.data.begin(), x.data.end(), 0.5f);
  reset_peak();
  Workspace workspace;
  forward(x, y, workspace);
  const std::size_t run = peak_bytes();
  std::printf("packed %zu\nworkspace %zu\ntensors %zu\nmade %zu\nrun %zu\n", packed_bytes(config), workspace.bytes(),
              (x.data.size() + y.data.size()) * sizeof(float), made, run);
}

LSTM construct(const LSTMConfig& config) { return LSTM(config, cells_of(config), {}); }

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc >= 3 ? argv[1] : "";
  if (what == "write" && argc == 4) {
    Sequential model;
    model.add("lstm", construct(config_of(std::atol(argv[2]))));
    save_model(model, argv[3]);
  } else if (what == "load") {
    const Sequential model = load_model(argv[2]);
    measure(dynamic_cast<const LSTM&>(*model.layers()[0].layer).config(),
            [&](const Tensor& x, Tensor& y, Workspace& workspace) { model.forward(x.view(), y.view(), workspace); });
  } else if (what == "construct") {
    const LSTMConfig config = config_of(std::atol(argv[2]));
    const LSTM lstm = construct(config);
    measure(config,
            [&](const Tensor& x, Tensor& y, Workspace& workspace) { lstm.forward(x.view(), y.view(), {}, workspace); });
  } else {
    std::fprintf(stderr, "usage: %s construct HIDDEN_SIZE | write HIDDEN_SIZE FILE | load FILE\n", argv[0]);
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 2;
}
