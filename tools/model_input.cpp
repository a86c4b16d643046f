#include "model_input.h"

#include <bytegate/safetensors.h>
#include <fmt/core.h>

#include <random>
#include <variant>

#include "commands.h"

namespace bytegate::cli {
namespace {

/// Whether a layer takes batches first.
class BatchFirst final : public LayerVisitor {
 public:
  bool found = false;

 private:
  void field(const LayerField& field) override {
    if (field.name == "batch_first") found = found || std::get<bool>(field.value);
  }
};

}  // namespace

ModelInput read_input(const std::string& file) {
  const SafetensorsFile tensors = SafetensorsFile::load(file);
  const StoredTensor& stored = tensors.tensor("input");
  ModelInput input;
  input.description = fmt::format("tensor `input` {} of {}", to_string(Shape(stored.shape)), file);
  if (stored.dtype == "F32") {
    input.floats = Tensor(Shape(stored.shape), tensors.floats("input"));
  } else if (stored.dtype == "I64") {
    if (stored.shape.empty())
      throw CommandFailed(file + ": tensor `input` is a single number, a list of indices is expected");
    input.indices = tensors.int64s("input");
    input.index_shape = Shape(stored.shape);
  } else {
    throw CommandFailed(fmt::format("{}: tensor `input` is {}, F32 or I64 is expected", file, stored.dtype));
  }
  return input;
}

ModelInput random_input(const std::vector<NamedLayer>& layers, const RandomInput& options) {
  if (options.steps < 1 || options.batch < 1)
    throw CommandFailed("random inputs need at least one step and a batch of one");
  BatchFirst batch_first;
  for (const auto& [name, layer] : layers) layer->describe(batch_first);
  const bool indices = !layers.empty() && layers.front().layer->takes_indices();
  std::int64_t size = -1;
  Shape shape;  // that a layer asks for, if it comes before the first with a size
  for (const auto& [name, layer] : layers) {
    if (size < 0 && shape.rank() == 0) shape = layer->sample_shape(options.batch, options.steps);
    if (size < 0) size = layer->input_size();
  }
  const std::int64_t first = batch_first.found ? options.batch : options.steps;
  const std::int64_t second = batch_first.found ? options.steps : options.batch;
  std::mt19937_64 random(
      options.seed);  // its numbers are laid down by the standard; those of std:: distributions are not
  ModelInput input;
  if (indices) {
    if (size < 1) throw CommandFailed("the model's embedding has no rows, so there is no index to try it on");
    input.index_shape = Shape{first, second};
    input.indices.resize(input.index_shape.elements());
    for (std::int64_t& index : input.indices)
      index = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(size));
  } else {
    if (size < 0 && shape.rank() == 0)
      throw CommandFailed("the model has no layer that shows the width of its input; give one with --input");
    input.floats = Tensor(shape.rank() == 0 ? Shape{first, second, size} : shape);
    // 24 bits, all that a float in 0..1 holds.
    for (float& value : input.floats.data) value = static_cast<float>(random() >> 40) * 0x1p-23f - 1.0f;
  }
  input.description = fmt::format("random {} {}, seed {}, T={}, B={}", indices ? "indices" : "floats uniform in -1..1",
                                  to_string(input.shape()), options.seed, options.steps, options.batch);
  return input;
}

}  // namespace bytegate::cli
