// One digest of every part of a fixed set of outputs: activations, Linear, LSTM with every option, long sequences, the
// demo models, and the bytes of quantized files.
//   digest         prints them for the default backend (digest > tests/digest.txt)
//   digest FILE    computes them on every backend this CPU runs and compares with FILE; exit code 1 if one differs
// Inputs and weights come from integers alone, so that no library's random numbers or functions matter.
#include <bytegate/model_file.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <utility>

#include "tests/support/backends.h"
#include "tests/support/lstm_runs.h"

namespace {

using namespace bytegate;
using namespace bytegate::testing;
namespace fs = std::filesystem;

/// FNV-1a, 64 bits.
class Digest {
 public:
  void add(std::uint8_t byte) { state_ = (state_ ^ byte) * 0x100000001b3u; }
  void add(float value) {
    // NaNs differ in sign and payload between processors; where they are does not.
    const std::uint32_t bits = std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) add(static_cast<std::uint8_t>(bits >> shift));
  }
  void add(const Tensor& tensor) {
    for (const std::int64_t d : tensor.shape.dims()) add(static_cast<std::uint8_t>(d));
    for (const float v : tensor.data) add(v);
  }
  void add(const LSTMResult& result) {
    add(result.output);
    add(result.state.h);
    add(result.state.c);
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

/// One float in 2^16 of all, among them both infinities, both zeros, denormals.
void activations(const Backend& backend, Digest& digest) {
  std::vector<float> x, y;
  for (std::uint32_t high = 0; high < 0x10000; ++high)
    x.push_back(std::bit_cast<float>(high << 16 | (high * 40503u & 0xffffu)));
  for (const float special : {0.0f, -0.0f, INFINITY, -INFINITY, NAN}) x.push_back(special);
  y.resize(x.size());
  for (const ElementwiseFn f : {backend.kernels->sigmoid, backend.kernels->tanh}) {
    f(x.data(), y.data(), x.size());
    for (const float v : y) digest.add(v);
  }
}

Tensor to_tensor(const Shape& shape, Random& random, float bound, std::int64_t odd_row) {
  Tensor x = random_tensor(shape, random, bound);
  const auto width = static_cast<std::size_t>(shape.back());
  // Rows of zeros, of large and of small values among the others.
  for (std::size_t i = static_cast<std::size_t>(odd_row) * width; i < x.data.size(); i += 5 * width) {
    const float factor = i / width % 4 == 0   ? 0.0f
                         : i / width % 4 == 1 ? 0x1p100f
                         : i / width % 4 == 2 ? 0x1p-140f
                                              : 0x1p-20f;
    for (std::size_t k = 0; k < width; ++k) x.data[i + k] *= factor;
  }
  return x;
}

void linear(const Backend& backend, Digest& digest) {
  Random random(11);
  for (const auto& [m, k, n] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1},
                                                                        {2, 3, 5},
                                                                        {3, 64, 16},
                                                                        {4, 65, 17},
                                                                        {5, 31, 33},
                                                                        {6, 100, 64},
                                                                        {7, 129, 48},
                                                                        {9, 512, 70},
                                                                        {13, 257, 100},
                                                                        {1, 3001, 19},
                                                                        {0, 8, 8}}) {
    const Tensor weight = random_tensor({n, k}, random), bias = random_tensor({n}, random);
    Tensor x = to_tensor({m, k}, random, 3.0f, 1);
    if (m > 2) x.data[static_cast<std::size_t>(2 * k)] = NAN;
    for (const bool relu : {false, true}) {
      const Linear layer(weight.view(), bias.view(), relu, &backend);
      digest.add(layer.forward(x));
      for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 7)}) {
        digest.add(Linear::from_float(layer, scheme).forward(x));
      }
    }
    // Weights that quantizing a float never yields, such as -128.
    QuantizedWeight whole{n, k, std::vector<std::int8_t>(static_cast<std::size_t>(n * k)),
                          std::vector<float>(static_cast<std::size_t>(n))};
    for (auto& w : whole.data) w = static_cast<std::int8_t>(random.chance(10) ? -128 : random.integer(-128, 127));
    for (auto& s : whole.scales) s = random.uniform(0.0f, 0.02f);
    digest.add(Linear(whole, {}, Scheme::per_row(), false, &backend).forward(x));
  }
}

void conv1d(const Backend& backend, Digest& digest) {
  Random random(55);
  for (int i = 0; i < 48; ++i) {
    Conv1dConfig c{.in_channels = random.integer(1, 40),
                   .out_channels = random.integer(1, 70),
                   .kernel_size = random.integer(1, 6),
                   .stride = random.integer(1, 3),
                   .padding = random.integer(0, 7),
                   .dilation = random.integer(1, 3),
                   .channels_last = i % 2 == 0,
                   .causal = i % 5 == 0};
    if (i % 3 == 0) c.groups = c.out_channels = c.in_channels;
    if (c.causal) c.padding = 0;
    const std::int64_t steps = 16 + random.integer(0, 150);
    const Tensor weight = random_tensor({c.out_channels, c.in_channels / c.groups, c.kernel_size}, random),
                 bias = random_tensor({c.out_channels}, random);
    Tensor x =
        to_tensor(c.channels_last ? Shape{2, steps, c.in_channels} : Shape{2, c.in_channels, steps}, random, 3.0f, 1);
    if (i % 4 == 3) x.data[x.data.size() / 2] = NAN;
    const Conv1d layer(c, weight.view(), bias.view(), &backend);
    digest.add(layer.forward(x));
    for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 7)})
      digest.add(Conv1d::from_float(layer, scheme).forward(x));
  }
}

/// Layers without products, on one float in 2^16 of all and on rows of ordinary values.
void functions(const Backend& backend, Digest& digest) {
  Random random(66);
  const Tensor weight = random_tensor({67}, random), bias = random_tensor({67}, random);
  Tensor all(Shape{0x10000 / 64, 64}), rows = to_tensor({40, 67}, random, 5.0f, 2);
  for (std::uint32_t high = 0; high < 0x10000; ++high)
    all.data[high] = std::bit_cast<float>(high << 16 | (high * 40503u & 0xffffu));
  Sequential layers;
  layers.add("relu", ReLU());
  layers.add("leaky_relu", LeakyReLU(0.1));
  layers.add("elu", ELU(0.7));
  layers.add("sigmoid", Sigmoid(&backend));
  layers.add("tanh", Tanh(&backend));
  layers.add("softmax", Softmax());
  layers.add("log_softmax", LogSoftmax());
  layers.add("norm", LayerNorm(67, weight.view(), bias.view()));
  Workspace workspace;
  for (const auto& [name, layer] : layers.layers()) {
    for (const Tensor& x : {all, rows}) {
      if (layer->input_size() >= 0 && layer->input_size() != x.shape.back()) continue;
      Tensor y(x.shape);
      layer->forward(x.view(), y.view(), workspace, nullptr);
      digest.add(y);
    }
  }
}

LstmCase lstm_case(const LSTMConfig& config, std::int64_t steps, std::int64_t batch, bool state,
                   std::vector<std::int64_t> lengths, Random& random) {
  LstmCase c;
  c.config = config;
  c.steps = steps;
  c.batch = batch;
  c.has_state = state;
  c.lengths = std::move(lengths);
  fill(c, random);
  return c;
}

/// Every combination of bias, batch_first, bidirectional, projection, layers, state, lengths.
void lstm_options(const Backend& backend, Digest& digest) {
  Random random(22);
  for (unsigned bits = 0; bits < 128; ++bits) {
    const auto on = [&](unsigned bit) { return (bits >> bit & 1) != 0; };
    const std::int64_t hidden = 5 + static_cast<std::int64_t>(bits) % 31,
                       batch = 1 + static_cast<std::int64_t>(bits) % 6, steps = 4;
    const LSTMConfig config{
        3 + static_cast<std::int64_t>(bits) % 17, hidden, on(0) ? 2 : 1, on(1), on(2), on(3), on(4) ? hidden / 2 : 0};
    std::vector<std::int64_t> lengths;
    for (std::int64_t b = 0; on(6) && b < batch; ++b) lengths.push_back(1 + (b * 7 + hidden) % steps);
    LstmCase c = lstm_case(config, steps, batch, on(5), lengths, random);
    if (bits % 16 == 9) c.x.data[c.x.data.size() / 2] = INFINITY;
    for (const LstmKind& kind : lstm_kinds()) digest.add(run(c, kind, backend));
  }
}

/// The same for another layer, with its options in place of a projection; the first layer and direction as a cell too.
template <class CellLayer>
void other_options(Cell layer, const Backend& backend, Digest& digest) {
  Random random(55);
  for (unsigned bits = 0; bits < 128; ++bits) {
    const auto on = [&](unsigned bit) { return (bits >> bit & 1) != 0; };
    const std::int64_t hidden = 4 + static_cast<std::int64_t>(bits) % 37,
                       batch = 1 + static_cast<std::int64_t>(bits) % 7, steps = 4;
    LstmCase c;
    c.layer = layer;
    c.config = {3 + static_cast<std::int64_t>(bits) % 19,       hidden, on(0) ? 2 : 1, on(1), on(2), on(3), 0,
                on(4) ? Nonlinearity::relu : Nonlinearity::tanh};
    if (layer == Cell::gru) c.config.reset_after = bits % 3 != 1;
    for (std::int64_t b = 0; on(6) && b < batch; ++b) c.lengths.push_back(1 + (b * 7 + hidden) % steps);
    c.steps = steps;
    c.batch = batch;
    c.has_state = on(5);
    fill(c, random);
    if (bits % 16 == 9) c.x.data[c.x.data.size() / 2] = INFINITY;
    for (const LstmKind& kind : lstm_kinds(c)) digest.add(run(c, kind, backend));
    RecurrentConfig one = c.config;
    one.num_layers = 1;
    one.bidirectional = one.batch_first = false;
    const CellLayer cell(one, c.cells[0], &backend);
    digest.add(CellLayer::from_float(cell).forward(random_tensor({batch, one.input_size}, random, 3.0f)));
  }
}

void gru_options(const Backend& backend, Digest& digest) { other_options<GRUCell>(Cell::gru, backend, digest); }
void rnn_options(const Backend& backend, Digest& digest) { other_options<RNNCell>(Cell::rnn, backend, digest); }

void long_sequences(const Backend& backend, Digest& digest) {
  Random random(33);
  const LstmCase c = lstm_case({24, 40, 1, true, false, false, 0}, 1200, 1, true, {}, random);
  const LstmCase wide =
      lstm_case({17, 70, 2, true, true, true, 0}, 130, 9, false, {130, 1, 77, 128, 64, 129, 2, 100, 65}, random);
  for (const LstmKind& kind : lstm_kinds()) {
    digest.add(run(c, kind, backend));
    digest.add(run(wide, kind, backend));
    // The same steps, one a call.
    const AnyLstm layer(c, kind, backend);
    LSTMState state = c.state;
    for (std::int64_t t = 0; t < c.steps; ++t) {
      Tensor x(Shape{1, 1, c.config.input_size});
      std::copy_n(c.x.data.begin() + t * c.config.input_size, c.config.input_size, x.data.begin());
      LSTMResult step = layer.forward(x, &state);
      digest.add(step.output);
      state = std::move(step.state);
    }
  }
}

std::vector<std::uint8_t> file_bytes(const Sequential& model) {
  const fs::path path = fs::temp_directory_path() /
                        ("bytegate-digest-" + std::to_string(std::hash<const void*>()(&model)) + ".safetensors");
  save_model(model, path);
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  fs::remove(path);
  return bytes;
}

/// Outputs of the model and of its quantized forms; x is a float tensor or indices.
template <class Run>
void model_outputs(const Sequential& model, const Backend& backend, Digest& outputs, Digest& files,
                   const Run& forward) {
  outputs.add(forward(model));
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 7)}) {
    QuantizeOptions options;
    options.scheme = scheme;
    options.backend = &backend;
    const Sequential quantized = quantize_dynamic(model, options);
    outputs.add(forward(quantized));
    for (const std::uint8_t byte : file_bytes(quantized)) files.add(byte);
  }
}

constexpr const char* kDemoModel =
    R"([{"name": "lay1", "kind": "lstm", "input_size": 64, "hidden_size": 64}, {"name": "relu1", "kind": "relu"},
  {"name": "lay2", "kind": "lstm", "input_size": 64, "hidden_size": 32}, {"name": "relu2", "kind": "relu"},
  {"name": "flatten", "kind": "flatten"}, {"name": "lay3", "kind": "linear", "in_features": 32, "out_features": 10}])";

void models(const Backend& backend, Digest& outputs, Digest& files) {
  const fs::path data = fs::path(BYTEGATE_SOURCE_DIR) / "examples/data";
  LoadOptions options;
  options.backend = &backend;
  const Sequential language = load_model(data / "charlm/model.safetensors", options);
  options.architecture = kDemoModel;
  options.ignore_extra = true;  // the file holds reference outputs too
  const Sequential demo = load_model(data / "demo_model.safetensors", options);
  Random random(44);
  const Tensor x = random_tensor({1000, 1, 64}, random, 2.0f);
  model_outputs(demo, backend, outputs, files, [&](const Sequential& model) { return model.forward(x); });

  std::vector<std::int64_t> text;
  for (int i = 0; i < 250; ++i) text.push_back(random.integer(0, 62));
  model_outputs(language, backend, outputs, files, [&](const Sequential& model) {
    Workspace workspace;
    const Shape shape{static_cast<std::int64_t>(text.size()), 1};
    Tensor y(model.output_shape(shape));
    model.forward({text.data(), shape}, y.view(), workspace);
    return y;
  });
}

using Line = std::pair<std::string, std::string>;

std::vector<Line> digests(const Backend& backend) {
  std::vector<Line> lines;
  const auto line = [&](const char* name, const Digest& digest) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(digest.value()));
    lines.emplace_back(name, text);
  };
  const auto part = [&](const char* name, void (*compute)(const Backend&, Digest&)) {
    Digest digest;
    compute(backend, digest);
    line(name, digest);
  };
  part("activations", activations);
  part("linear", linear);
  part("conv1d", conv1d);
  part("functions", functions);
  part("lstm_options", lstm_options);
  part("gru_options", gru_options);
  part("rnn_options", rnn_options);
  part("long_sequences", long_sequences);
  Digest outputs, files;
  models(backend, outputs, files);
  line("models", outputs);
  line("quantized_files", files);
  return lines;
}

int compare(const char* path) {
  std::ifstream in(path);
  std::vector<Line> expected;
  for (Line l; in >> l.first >> l.second;) expected.push_back(l);
  int different = expected.empty();
  for (const Backend* backend : supported_backends()) {
    const std::vector<Line> ours = digests(*backend);
    if (ours == expected) {
      std::printf("ok   %s\n", backend->name);
      continue;
    }
    different = 1;
    std::printf("FAIL %s: not the digests of %s but\n", backend->name, path);
    for (const Line& l : ours)
      std::printf("%s %s%s\n", l.first.c_str(), l.second.c_str(),
                  std::ranges::count(expected, l) ? "" : "  <- differs");
  }
  return different;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 1) return compare(argv[1]);
    for (const auto& [name, value] : digests(default_backend())) std::printf("%s %s\n", name.c_str(), value.c_str());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "digest: %s\n", e.what());
    return 1;
  }
}
