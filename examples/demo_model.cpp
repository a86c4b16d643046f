// The library on one page: read this file from top to bottom.
//
//   1. A small model of two LSTMs and a Linear, from a PyTorch state dict: load, print, quantize, run, measure.
//   2. A trained character model on text it has not seen: accuracy, time and size of int8 beside float.
//   3. The backend that ran, and how to choose another.
//
// demo_support.cpp has the arguments, text files and the clock, figures.h the error measures.
#include <bytegate/backends.h>    // which backends there are, and which one runs
#include <bytegate/layers.h>      // Linear, LSTM, Embedding, ... each with float or int8 weights
#include <bytegate/model.h>       // Sequential, quantize_dynamic
#include <bytegate/model_file.h>  // load_model, save_model
#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "demo_support.h"
#include "figures.h"

namespace {

// ---------------------------------------------------------------------------------------------------------------------
// 1. Quantize a model
// ---------------------------------------------------------------------------------------------------------------------

// A state dict holds tensors and does not say what forward() does with them, so load_model needs an architecture: the
// layers in the order of their use. Sizes are left out here, because the tensors show them. The model was
//
//   def forward(self, x):                      # x: [T, 1, 64]
//       x, _ = self.lay1(x);  x = F.relu(x)
//       x, _ = self.lay2(x);  x = F.relu(x)
//       return self.lay3(x.view(x.size(0), -1))
constexpr const char* kDemoModel = R"([
  {"name": "lay1",    "kind": "lstm"},
  {"name": "relu1",   "kind": "relu"},
  {"name": "lay2",    "kind": "lstm"},
  {"name": "relu2",   "kind": "relu"},
  {"name": "flatten", "kind": "flatten"},
  {"name": "lay3",    "kind": "linear"}
])";

void quantize_a_model(const demo::Arguments& arguments, const demo::TemporaryFolder& folder) {
  fmt::print("1. Two LSTMs and a Linear, with weights made by PyTorch\n\n");

  // The file is a PyTorch state dict as safetensors. It is also a reference case of the tests, with an input and
  // outputs. Tensors that no layer uses are an error unless ignore_extra is set, because a layer may have been
  // forgotten.
  const auto path = arguments.data / "demo_model.safetensors";
  bytegate::LoadOptions options;
  options.architecture = kDemoModel;
  options.ignore_extra = true;
  const bytegate::Sequential loaded = bytegate::load_model(path, options);

  // A Sequential can also be made by hand, from layers of any origin, and from classes of your own that derive from
  // Layer. A copy of a layer shares its weights.
  bytegate::Sequential model("DemoModel");
  for (const auto& [name, layer] : loaded.layers()) model.add(name, layer);
  fmt::print("{}\n\n", bytegate::to_string(model));

  // One call quantizes every recurrent layer and Linear. The float model does not change, and both models share the
  // other layers. QuantizeOptions choose layers by kind or name, and the scheme: per_row (the default) or PyTorch's own
  // arithmetic.
  const bytegate::Sequential quantized = bytegate::quantize_dynamic(model);
  fmt::print("{}\n\n", bytegate::to_string(quantized));

  // Run both. The caller owns the output, and a Workspace owns the scratch memory: after the first call, forward
  // allocates nothing. Models are immutable, so any number of threads may share one, each with a Workspace of its own.
  // Large models can use several threads in one call: Workspace(num_threads).
  const bytegate::SafetensorsFile file = bytegate::SafetensorsFile::load(path);
  const bytegate::Tensor x(bytegate::Shape(file.tensor("input").shape), file.floats("input"));
  bytegate::Tensor y(model.output_shape(x.shape));
  bytegate::Tensor y8(model.output_shape(x.shape));
  bytegate::Workspace workspace;
  model.forward(x.view(), y.view(), workspace);
  quantized.forward(x.view(), y8.view(), workspace);

  const double float_time = demo::microseconds_per_call([&] { model.forward(x.view(), y.view(), workspace); });
  const double int8_time = demo::microseconds_per_call([&] { quantized.forward(x.view(), y8.view(), workspace); });

  // A saved model has its architecture in the file, so it is loaded without one. The loaded model returns the same
  // bits.
  bytegate::save_model(model, folder / "float.safetensors");
  bytegate::save_model(quantized, folder / "int8.safetensors");
  const bytegate::Sequential again = bytegate::load_model(folder / "int8.safetensors");
  const bool same = again.forward(x).data == y8.data;

  fmt::print("           size on disk   time per call\n");
  fmt::print("  float    {:9.1f} KB   {:10.1f} us\n", demo::kilobytes(folder / "float.safetensors"), float_time);
  fmt::print("  int8     {:9.1f} KB   {:10.1f} us\n", demo::kilobytes(folder / "int8.safetensors"), int8_time);
  fmt::print("  input {}, output {}: maximum error {:.2g}, SQNR {:.1f} dB\n", bytegate::to_string(x.shape),
             bytegate::to_string(y.shape), demo::max_error(y, y8), demo::sqnr(y, y8));
  fmt::print("  saved and loaded again: {}\n\n", same ? "the same bits" : "NOT the same bits");
}

// ---------------------------------------------------------------------------------------------------------------------
// 2. Real input
// ---------------------------------------------------------------------------------------------------------------------

/// Bits per character on held-out text, measured as for PyTorch's reference: 100 characters a call, each call
/// continuing with the state of the one before, and every character predicting the next.
double bits_per_character(const bytegate::Sequential& model, const std::vector<std::int64_t>& text) {
  const std::size_t predictions = text.size() - 1;
  bytegate::Workspace workspace;
  bytegate::ModelState state;  // one entry a layer, h and c for an LSTM; empty means zeros
  double total = 0;
  for (std::size_t start = 0; start < predictions; start += 100) {
    const std::size_t steps = std::min<std::size_t>(100, predictions - start);
    // The input of a model that begins with an Embedding is indices, here [T, B] with a batch of one.
    const bytegate::IndexView x{&text[start], {static_cast<std::int64_t>(steps), 1}};
    bytegate::Tensor logits(model.output_shape(x.shape));
    model.forward(x, logits.view(), workspace, &state);
    const std::size_t width = logits.data.size() / steps;
    for (std::size_t t = 0; t < steps; ++t) total += demo::bits({&logits.data[t * width], width}, text[start + t + 1]);
  }
  return total / static_cast<double>(predictions);
}

/// Continues the prompt, one character a call. Under the per_row scheme, every row is quantized by itself, so streaming
/// returns the bits of one call over the whole text.
std::string continuation(const bytegate::Sequential& model, const demo::Text& text, const demo::Arguments& arguments) {
  const std::vector<std::int64_t> prompt = text.encode(arguments.prompt);
  bytegate::Tensor logits(model.output_shape({1, 1}));
  bytegate::Workspace workspace;
  bytegate::ModelState state;
  for (const std::int64_t character : prompt) model.forward({&character, {1, 1}}, logits.view(), workspace, &state);
  demo::Sampler sampler(/*seed=*/1611, /*temperature=*/0.6);
  std::string written;
  for (std::size_t i = 0; i < arguments.chars; ++i) {
    const std::int64_t next = sampler.draw(logits.data);
    written += text.characters.at(static_cast<std::size_t>(next));
    model.forward({&next, {1, 1}}, logits.view(), workspace, &state);
  }
  return written;
}

void run_a_language_model(const demo::Arguments& arguments, const demo::TemporaryFolder& folder) {
  // This file has its architecture in its metadata.
  const bytegate::Sequential model = bytegate::load_model(arguments.model / "model.safetensors");
  const demo::Text text = demo::read_text(arguments.model);
  fmt::print("2. A trained character model on {} characters it has not seen\n\n{}\n\n", text.held_out.size(),
             bytegate::to_string(model));

  bytegate::QuantizeOptions with_embedding;
  with_embedding.kinds = {"linear", "lstm", "embedding"};  // the embedding too, with one scale a row
  bytegate::QuantizeOptions torch_8bit;
  torch_8bit.scheme = bytegate::Scheme::torch();  // reproduces a deployed PyTorch model
  bytegate::QuantizeOptions torch_7bit;
  torch_7bit.scheme = bytegate::Scheme::torch(/*per_channel=*/false, /*activation_bits=*/7);
  const bytegate::Sequential int8 = bytegate::quantize_dynamic(model);

  struct Row {
    const char* name;
    bytegate::Sequential model;
    const char* reference;  ///< PyTorch's figure for the same, in reference.json
  };
  const std::vector<Row> rows = {
      {"float", model, "bits_per_char_float"},
      {"int8", int8, ""},
      {"int8, embedding too", bytegate::quantize_dynamic(model, with_embedding), ""},
      {"int8, torch 8 bit", bytegate::quantize_dynamic(model, torch_8bit), "bits_per_char_pytorch_qint8_8bit"},
      {"int8, torch 7 bit", bytegate::quantize_dynamic(model, torch_7bit), "bits_per_char_pytorch_qint8_7bit"},
  };
  fmt::print("                       bits/char        gap   seconds   size on disk  of float   PyTorch itself\n");
  double float_bits = 0;
  for (const Row& row : rows) {
    double bits = 0;
    const double seconds = demo::seconds([&] { bits = bits_per_character(row.model, text.held_out); });
    if (float_bits == 0) float_bits = bits;
    bytegate::save_model(row.model, folder / "charlm.safetensors");
    const double size = demo::kilobytes(folder / "charlm.safetensors");
    static const double float_size = size;  // that of the first row
    const auto reference = text.reference.find(row.reference);
    fmt::print("  {:<20} {:9.5f}  {:+7.3f} %  {:8.2f}  {:10.1f} KB  {:8.3f}{}\n", row.name, bits,
               (bits / float_bits - 1) * 100, seconds, size, size / float_size,
               reference == text.reference.end() ? "" : fmt::format("{:17.5f}", reference->second));
  }

  fmt::print("\n  {} characters drawn from softmax(logits / 0.6), the same random numbers for both:\n",
             arguments.chars);
  for (const auto& [name, which] : {std::pair{"float", &model}, std::pair{"int8", &int8}})
    fmt::print("\n  {}:\n{}|{}\n", name, arguments.prompt, continuation(*which, text, arguments));
}

// ---------------------------------------------------------------------------------------------------------------------
// 3. Backends
// ---------------------------------------------------------------------------------------------------------------------

void show_the_backend() {
  const std::string chosen = bytegate::default_backend().name;
  fmt::print("\n3. All of this ran on the backend `{}`\n\n", chosen);
  for (const bytegate::BackendInfo& info : bytegate::list_backends()) {
    fmt::print("  {} {:<12} {}\n", info.backend->name == chosen ? '*' : ' ', info.backend->name,
               info.supported ? info.backend->description : "cannot run here, it needs " + info.missing);
  }
  // A layer or a model can also be bound to another backend: LoadOptions, QuantizeOptions and the constructors of
  // layers accept a pointer to one, such as &find_backend("avx2").
  fmt::print(
      "\n  BYTEGATE_BACKEND=NAME chooses another (auto, or nothing: the best). Outputs are the same bits on each.\n");
}

}  // namespace

int main(int argc, char** argv) {
  const demo::Arguments arguments = demo::parse_arguments(argc, argv);
  try {
    const demo::TemporaryFolder folder;
    quantize_a_model(arguments, folder);
    run_a_language_model(arguments, folder);
    show_the_backend();
    return 0;
  } catch (const std::exception& error) {  // bytegate::Error says what was wrong and what is accepted
    fmt::print(stderr, "demo_model: {}\n", error.what());
    return 1;
  }
}
