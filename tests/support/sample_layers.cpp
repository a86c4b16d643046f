#include "tests/support/sample_layers.h"

#include <algorithm>

namespace bytegate::testing {
namespace {

/// Collects samples whose kind is the layer's own.
class Samples {
 public:
  template <class L>
  void add(const std::string& what, L layer, const Shape& input, bool large = false) {
    auto pointer = std::make_shared<const L>(std::move(layer));
    class Kind final : public LayerVisitor {
     public:
      std::string name;

     private:
      void begin(std::string_view kind, std::string_view) override { name = kind; }
    } kind;
    pointer->describe(kind);
    all_.push_back({what.empty() ? kind.name : kind.name + " " + what, std::move(pointer), input, large});
  }
  std::vector<SampleLayer> take() { return std::move(all_); }

 private:
  std::vector<SampleLayer> all_;
};

void add_products(const Backend& backend, Random& random, Samples& samples) {
  const auto tensor = [&](const Shape& shape) { return random_tensor(shape, random); };
  samples.add("", Linear(tensor({21, 37}).view(), tensor({21}).view(), false, &backend), {3, 5, 37});
  samples.add("relu", Linear(tensor({70, 8}).view(), {}, true, &backend), {3, 8});
  samples.add("large", Linear(tensor({257, 300}).view(), tensor({257}).view(), false, &backend), {3, 40, 300}, true);
  samples.add("", Embedding(tensor({20, 12}).view()), {3, 4});
  LSTMConfig config{.input_size = 7, .hidden_size = 19, .num_layers = 2, .batch_first = true, .bidirectional = true};
  samples.add("", LSTM(config, to_cells(random_cells(config, random)), &backend), {3, 5, 7});
}

void add_convolutions(const Backend& backend, Random& random, Samples& samples) {
  const auto add = [&](const std::string& what, const Conv1dConfig& c, std::int64_t steps, bool large = false) {
    const Tensor weight = random_tensor({c.out_channels, c.in_channels / c.groups, c.kernel_size}, random),
                 bias = random_tensor({c.out_channels}, random);
    samples.add(what, Conv1d(c, weight.view(), what.empty() ? ConstTensorView{} : bias.view(), &backend),
                c.channels_last ? Shape{3, steps, c.in_channels} : Shape{3, c.in_channels, steps}, large);
  };
  add("", {.in_channels = 5, .out_channels = 18, .kernel_size = 3}, 9);
  add("padded", {.in_channels = 6, .out_channels = 7, .kernel_size = 5, .stride = 2, .padding = 3}, 70);
  add("channels last", {.in_channels = 9, .out_channels = 33, .kernel_size = 3, .padding = 1, .channels_last = true},
      11);
  add("dilated", {.in_channels = 4, .out_channels = 3, .kernel_size = 3, .dilation = 2, .channels_last = true}, 40);
  add("causal", {.in_channels = 4, .out_channels = 6, .kernel_size = 4, .stride = 2, .dilation = 3, .causal = true}, 8);
  add("depthwise", {.in_channels = 19, .out_channels = 19, .kernel_size = 3, .padding = 1, .groups = 19}, 90);
  add("depthwise last",
      {.in_channels = 64, .out_channels = 64, .kernel_size = 5, .stride = 3, .groups = 64, .channels_last = true}, 900,
      true);
  add("large", {.in_channels = 64, .out_channels = 70, .kernel_size = 3, .padding = 1, .channels_last = true}, 400,
      true);
  add("wide", {.in_channels = 300, .out_channels = 1600, .kernel_size = 3}, 3, true);  // threads share the channels
  add("large first", {.in_channels = 64, .out_channels = 70, .kernel_size = 3, .padding = 1}, 350, true);
}

void add_activations(const Backend& backend, Samples& samples) {
  const Shape shape{3, 4, 37};
  samples.add("", ReLU(), shape);
  samples.add("", LeakyReLU(0.3), shape);
  samples.add("", ELU(1.5), shape);
  samples.add("", Sigmoid(&backend), shape);
  samples.add("", Tanh(&backend), shape);
  samples.add("", Softmax(), shape);
  samples.add("one column", Softmax(), {3, 1});
  samples.add("", LogSoftmax(), shape);
}

void add_norms(Random& random, Samples& samples) {
  const Tensor weight = random_tensor({37}, random), bias = random_tensor({37}, random);
  samples.add("", LayerNorm(37, weight.view(), bias.view()), {3, 4, 37});
  samples.add("without a bias", LayerNorm(37, weight.view(), {}, 0.001), {3, 37});
  samples.add("alone", LayerNorm(5, {}, {}), {3, 5});
}

void add_recurrent(const Backend& backend, Random& random, Samples& samples) {
  RecurrentConfig config{
      .input_size = 7, .hidden_size = 19, .num_layers = 2, .batch_first = true, .bidirectional = true};
  samples.add("", GRU(config, to_cells(random_cells(config, random, 1.0f, 3)), &backend), {3, 5, 7});
  samples.add("", RNN(config, to_cells(random_cells(config, random, 1.0f, 1)), &backend), {3, 5, 7});
  config = {.input_size = 7, .hidden_size = 19};
  const auto weights = [&](std::int64_t gates) { return to_cells(random_cells(config, random, 1.0f, gates))[0]; };
  samples.add("", LSTMCell(config, weights(4), &backend), {3, 7});
  samples.add("", GRUCell(config, weights(3), &backend), {3, 7});
  samples.add("", RNNCell(config, weights(1), &backend), {3, 7});
}

}  // namespace

std::vector<SampleLayer> sample_layers(const Backend& backend) {
  Random random(12);
  Samples samples;
  add_products(backend, random, samples);
  add_convolutions(backend, random, samples);
  add_activations(backend, samples);
  add_norms(random, samples);
  samples.add("", Flatten(), {3, 4, 5});
  samples.add("", LastStep(true), {3, 4, 5});
  samples.add("", Permute({0, 3, 1, 2}), {3, 4, 5, 6});
  samples.add("of a matrix", Permute({0, 2, 1}), {3, 17, 40});
  add_recurrent(backend, random, samples);
  return samples.take();
}

std::vector<NamedForm> forms_of(const SampleLayer& sample) {
  std::vector<NamedForm> forms = {{sample.name + ", float", sample.layer}};
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 7)}) {
    if (LayerPtr layer = sample.layer->quantize_dynamic(scheme, nullptr))
      forms.push_back({sample.name + ", " + to_string(scheme), std::move(layer), !scheme.is_torch()});
  }
  return forms;
}

Tensor sample_input(const Layer& layer, const Shape& shape, std::uint64_t seed) {
  Random random(seed);
  if (!layer.takes_indices()) return random_tensor(shape, random, 3.0f);
  Tensor x(shape);
  for (float& v : x.data) v = static_cast<float>(random.integer(0, layer.input_size() - 1));
  return x;
}

Tensor run_layer(const Layer& layer, const Tensor& x, Workspace& workspace) {
  Tensor y(layer.output_shape(x.shape));
  if (layer.takes_indices()) {
    const std::vector<std::int64_t> indices(x.data.begin(), x.data.end());
    layer.forward(IndexView{indices.data(), x.shape}, y.view(), workspace, nullptr);
  } else {
    layer.forward(x.view(), y.view(), workspace, nullptr);
  }
  return y;
}

Tensor run_layer(const Layer& layer, const Tensor& x) {
  Workspace workspace;
  return run_layer(layer, x, workspace);
}

Tensor batch_item(const Tensor& tensor, std::int64_t b) {
  std::vector<std::int64_t> dims(tensor.shape.dims().begin(), tensor.shape.dims().end());
  dims[0] = 1;
  Tensor item{Shape(dims)};
  const std::size_t size = item.data.size();
  std::copy_n(tensor.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(b) * size), size,
              item.data.begin());
  return item;
}

}  // namespace bytegate::testing
