#include "model_input.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <variant>

#include "commands.h"

namespace bytegate::cli {
namespace {

/// What the layers say about the model's input.
struct InputNeeds {
  std::optional<std::int64_t> indices;  ///< they must be below this
  std::optional<std::int64_t> width;
  bool batch_first = false;

  void operator()(const Embedding& layer) { indices = layer.num_embeddings(); }
  void operator()(const QuantizedEmbedding& layer) { indices = layer.num_embeddings(); }
  void operator()(const LSTM& layer) { lstm(layer.config()); }
  void operator()(const DynamicQuantizedLSTM& layer) { lstm(layer.config()); }
  void operator()(const Linear& layer) { first_width(layer.in_features()); }
  void operator()(const DynamicQuantizedLinear& layer) { first_width(layer.in_features()); }
  void operator()(const ReLU&) {}
  void operator()(const Flatten&) {}

 private:
  void first_width(std::int64_t features) {
    if (!width) width = features;
  }
  void lstm(const LSTMConfig& config) {
    first_width(config.input_size);
    batch_first = batch_first || config.batch_first;
  }
};

}  // namespace

LoadedLayers load(const std::string& file, const std::string& architecture) {
  LoadOptions options;
  if (!architecture.empty()) {
    std::ifstream in(architecture, std::ios::binary);
    options.architecture.assign(std::istreambuf_iterator<char>(in), {});
    if (!in || options.architecture.empty()) throw CommandFailed("cannot read the architecture file " + architecture);
  }
  LoadedLayers loaded{SafetensorsFile::load(file), Sequential(), {}, ""};
  try {
    loaded.model = load_model(loaded.file, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file) throw;
    loaded.parts = load_state_dict(loaded.file, options);
    if (loaded.parts.layers.empty()) throw;
    loaded.why_parts_only = error.what();
  }
  return loaded;
}

ModelInput read_input(const std::string& file) {
  const SafetensorsFile tensors = SafetensorsFile::load(file);
  const StoredTensor& stored = tensors.tensor("input");
  ModelInput input;
  input.description = fmt::format("tensor `input` {} of {}", to_string(Shape(stored.shape)), file);
  if (stored.dtype == "F32") {
    input.floats = Tensor(Shape(stored.shape), tensors.floats("input"));
  } else if (stored.dtype == "I64") {
    if (stored.shape.empty()) throw CommandFailed(file + ": tensor `input` is a single number, a list of indices is expected");
    input.indices = tensors.int64s("input");
    input.index_shape = Shape(stored.shape);
  } else {
    throw CommandFailed(fmt::format("{}: tensor `input` is {}, F32 or I64 is expected", file, stored.dtype));
  }
  return input;
}

ModelInput random_input(const std::vector<std::pair<std::string, Layer>>& layers, const RandomInput& options) {
  if (options.steps < 1 || options.batch < 1) throw CommandFailed("random inputs need at least one step and a batch of one");
  InputNeeds needs;
  for (const auto& [name, layer] : layers) std::visit(needs, layer);
  const std::int64_t first = needs.batch_first ? options.batch : options.steps;
  const std::int64_t second = needs.batch_first ? options.steps : options.batch;
  std::mt19937_64 random(options.seed);  // its numbers are laid down by the standard; those of std:: distributions are not
  ModelInput input;
  if (needs.indices) {
    input.index_shape = Shape{first, second};
    input.indices.resize(input.index_shape.elements());
    for (std::int64_t& index : input.indices)
      index = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(*needs.indices));
  } else {
    if (!needs.width) throw CommandFailed("the model has no layer that shows the width of its input; give one with --input");
    input.floats = Tensor(Shape{first, second, *needs.width});
    // 24 bits, all that a float in 0..1 holds.
    for (float& value : input.floats.data) value = static_cast<float>(random() >> 40) * 0x1p-23f - 1.0f;
  }
  input.description = fmt::format("random {} {}, seed {}, T={}, B={}", needs.indices ? "indices" : "floats uniform in -1..1",
                                  to_string(input.shape()), options.seed, options.steps, options.batch);
  return input;
}

}  // namespace bytegate::cli
