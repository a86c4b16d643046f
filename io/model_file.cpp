#include <bytegate/model_file.h>

#include <algorithm>
#include <optional>

#include "io/architecture.h"
#include "io/layer_tensors.h"
#include "io/model_metadata.h"
#include "io/recognize.h"
#include "io/text.h"

namespace bytegate {
namespace {

using detail::fail_bad_file;
using detail::in_quotes;
using detail::LayerReader;
using detail::LayerSpec;
using detail::ModelMetadata;

constexpr const char* kSayArchitecture = "; give the layers in their order as an architecture (LoadOptions::architecture)";

std::string given_architecture(const LoadOptions& options, const ModelMetadata& metadata) {
  return options.architecture.empty() ? metadata.architecture : options.architecture;
}

/// The state dict of a lone module has no prefix; an architecture of one layer with weights finds its tensors there too.
void drop_missing_prefix(std::vector<LayerSpec>& specs, const SafetensorsFile& file) {
  const auto has_weights = [](const LayerSpec& spec) { return spec.has_weights(); };
  if (std::ranges::count_if(specs, has_weights) != 1) return;
  LayerSpec& spec = *std::ranges::find_if(specs, has_weights);
  const auto has_prefix = [&](const auto& tensor) { return tensor.first.starts_with(spec.prefix); };
  if (std::ranges::none_of(file.tensors(), has_prefix)) spec.prefix.clear();
}

/// The layers of a whole model, in order.
std::vector<LayerSpec> model_specs(const SafetensorsFile& file, const LoadOptions& options, const ModelMetadata& metadata) {
  if (const std::string text = given_architecture(options, metadata); !text.empty()) {
    std::vector<LayerSpec> specs = detail::parse_architecture(text, file.what());
    drop_missing_prefix(specs, file);
    return specs;
  }
  if (!metadata.layers.empty())
    fail_bad_file(file.what(), std::string("it holds layers that are no whole model") + kSayArchitecture);
  if (metadata.is_ours) fail_bad_file(file.what(), "the metadata has no `architecture`");
  detail::Recognized recognized = detail::recognize_layers(file);
  if (recognized.layers.empty()) {
    fail_bad_file(file.what(), "no LSTM, Linear or Embedding is recognized in its " + std::to_string(file.tensors().size()) +
                                   " tensors" + (recognized.notes.empty() ? "" : ": " + recognized.notes.front()));
  }
  if (!recognized.why_no_order.empty()) {
    fail_bad_file(file.what(), "the layers do not follow from each other: " + recognized.why_no_order + kSayArchitecture);
  }
  return recognized.layers;
}

void check_all_used(const LayerReader& reader, const SafetensorsFile& file, const LoadOptions& options) {
  const std::vector<std::string> unused = reader.unused();
  if (unused.empty() || options.ignore_extra) return;
  fail_bad_file(file.what(), "no layer of the model uses the tensors " + detail::names_text(unused) +
                                 " (LoadOptions::ignore_extra accepts that)");
}

SafetensorsWriter writer_of(const detail::NamedLayers& layers, const char* layers_key) {
  SafetensorsWriter writer;
  detail::write_metadata(layers, layers_key, writer);
  for (const auto& [name, layer] : layers) detail::write_layer(name + '.', layer, writer);
  return writer;
}

}  // namespace

Sequential load_model(const std::filesystem::path& path, const LoadOptions& options) {
  return load_model(SafetensorsFile::load(path), options);
}

Sequential load_model(const SafetensorsFile& file, const LoadOptions& options) {
  const ModelMetadata metadata = detail::read_metadata(file);
  const std::vector<LayerSpec> specs = model_specs(file, options, metadata);
  LayerReader reader(file, options.backend, metadata.scheme);
  Sequential model(options.name.empty() ? metadata.name : options.name);
  for (const LayerSpec& spec : specs) {
    Layer layer = reader.read(spec);
    try {
      model.add(spec.name, std::move(layer));
    } catch (const Error& error) {
      fail_bad_file(file.what(), error.what());
    }
  }
  check_all_used(reader, file, options);
  return model;
}

void save_model(const Sequential& model, const std::filesystem::path& path) {
  SafetensorsWriter writer = writer_of(model.layers(), detail::kArchitectureKey);
  writer.set_metadata(detail::kNameKey, model.name());
  writer.save(path);
}

StateDict load_state_dict(const SafetensorsFile& file, const LoadOptions& options) {
  const ModelMetadata metadata = detail::read_metadata(file);
  StateDict result;
  std::vector<LayerSpec> specs;
  std::string text = given_architecture(options, metadata);
  if (text.empty()) text = metadata.layers;
  if (!text.empty()) {
    specs = detail::parse_architecture(text, file.what());
    drop_missing_prefix(specs, file);
  } else {
    detail::Recognized recognized = detail::recognize_layers(file);
    specs = std::move(recognized.layers);
    result.notes = std::move(recognized.notes);
  }
  LayerReader reader(file, options.backend, metadata.scheme);
  for (const LayerSpec& spec : specs) result.layers.emplace_back(spec.name, reader.read(spec));
  result.others = reader.unused();
  return result;
}

void save_state_dict(const StateDict& state_dict, const SafetensorsFile& source, const std::filesystem::path& path) {
  SafetensorsWriter writer = writer_of(state_dict.layers, detail::kLayersKey);
  for (const std::string& name : state_dict.others) {
    const StoredTensor& tensor = source.tensor(name);
    writer.add(name, tensor.dtype, tensor.shape, tensor.data);
  }
  writer.save(path);
}

}  // namespace bytegate
