#include <bytegate/model_file.h>

#include <algorithm>
#include <optional>
#include <set>

#include "io/architecture.h"
#include "io/layer_tensors.h"
#include "io/model_metadata.h"
#include "io/model_plan.h"
#include "io/tensor_names.h"
#include "io/text.h"

namespace bytegate {
namespace {

using detail::fail_bad_file;
using detail::LayerFile;
using detail::LayerReader;
using detail::LayerSpec;
using detail::ModelMetadata;
using detail::NamedLayers;
using detail::Plan;
using detail::TensorNames;

std::vector<std::string> prefixes_of(const Plan& plan) {
  std::vector<std::string> prefixes;
  for (const LayerSpec& spec : plan.layers) prefixes.push_back(spec.prefix);
  return prefixes;
}

void check_all_used(const LayerReader& reader, const SafetensorsFile& file, const Plan& plan,
                    const LoadOptions& options) {
  const std::vector<std::string> unused = reader.unused();
  if (unused.empty() || options.ignore_extra) return;
  std::string message = detail::join_text({"no layer of the model uses the tensors ", detail::names_text(unused),
                                           " (LoadOptions::ignore_extra accepts that)"});
  for (const std::string& note : plan.notes) detail::append_text(message, {"; ", note});
  fail_bad_file(file.what(), {message});
}

/// The layers' names in the file, and what the names of their tensors begin with.
struct FileNames {
  NamedLayers layers;
  std::vector<std::string> prefixes;
};

FileNames file_names(const NamedLayers& layers, const std::vector<std::string>& prefixes) {
  if (!prefixes.empty() && prefixes.size() != layers.size()) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"tensor_prefixes has ", prefixes.size(), " entries for ", layers.size(), " layers"});
  }
  FileNames names{layers, prefixes};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (prefixes.empty()) {
      names.prefixes.push_back(layers[i].name + '.');
    } else if (!prefixes[i].empty()) {
      if (prefixes[i].size() < 2 || prefixes[i].back() != '.')
        detail::throw_error(ErrorCode::invalid_argument, {"the tensor prefix ", detail::in_quotes(prefixes[i]),
                                                          " does not end in a name and a dot"});
      names.layers[i].name = prefixes[i].substr(0, prefixes[i].size() - 1);
    }
  }
  return names;
}

SafetensorsWriter writer_of(const NamedLayers& layers, const std::vector<std::string>& prefixes,
                            const char* layers_key) {
  const FileNames names = file_names(layers, prefixes);
  SafetensorsWriter writer;
  detail::write_metadata(names.layers, layers_key, writer);
  for (std::size_t i = 0; i < layers.size(); ++i) detail::write_layer(names.prefixes[i], *layers[i].layer, writer);
  return writer;
}

}  // namespace

Sequential load_model(const std::filesystem::path& path, const LoadOptions& options) {
  return load_model(SafetensorsFile::load(path), options);
}

Sequential load_model(const SafetensorsFile& file, const LoadOptions& options) {
  const ModelMetadata metadata = detail::read_metadata(file);
  const TensorNames names(file);
  const LayerFile layer_file{file, names, options.backend, metadata.scheme, options.quantize};
  Plan plan = detail::model_plan(layer_file, metadata, options);
  LayerReader reader(layer_file);
  Sequential model(options.name.empty() ? metadata.name : options.name);
  std::vector<NamedLayer> layers = reader.read(plan.layers, options.num_threads);
  try {
    for (NamedLayer& layer : layers) model.add(std::move(layer.name), std::move(layer.layer));
  } catch (const Error& error) {
    fail_bad_file(file.what(), {error.what()});
  }
  check_all_used(reader, file, plan, options);
  if (options.quantize) options.quantize->validate(model.layers());
  if (options.report != nullptr)
    *options.report = {plan.guessed, detail::stripped_prefix(plan, names), prefixes_of(plan), std::move(plan.notes)};
  return model;
}

void save_model(const Sequential& model, const std::filesystem::path& path, const SaveOptions& options) {
  SafetensorsWriter writer = writer_of(model.layers(), options.tensor_prefixes, detail::kArchitectureKey);
  writer.set_metadata(detail::kNameKey, model.name());
  if (options.guessed) writer.set_metadata(detail::kGuessedKey, "true");
  writer.save(path);
}

const Layer& StateDict::layer(std::string_view name) const {
  const auto found = std::ranges::find(layers, name, &NamedLayer::name);
  if (found != layers.end()) return *found->layer;
  std::string names;
  for (const NamedLayer& named : layers) detail::append_text(names, {names.empty() ? "" : ", ", named.name});
  detail::throw_error(ErrorCode::invalid_argument, {"there is no layer '", name, "' among these: ", names});
}

StateDict load_state_dict(const SafetensorsFile& file, const LoadOptions& options) {
  const ModelMetadata metadata = detail::read_metadata(file);
  const TensorNames names(file);
  const LayerFile layer_file{file, names, options.backend, metadata.scheme, options.quantize};
  Plan plan = detail::state_dict_plan(layer_file, metadata, options);
  StateDict result;
  LayerReader reader(layer_file);
  result.layers = reader.read(plan.layers, options.num_threads);
  if (options.quantize) options.quantize->validate(result.layers);
  result.tensor_prefixes = prefixes_of(plan);
  result.others = reader.unused();
  result.stripped_prefix = detail::stripped_prefix(plan, names);
  result.notes = std::move(plan.notes);
  return result;
}

void save_state_dict(const StateDict& state_dict, const SafetensorsFile& source, const std::filesystem::path& path) {
  SafetensorsWriter writer = writer_of(state_dict.layers, state_dict.tensor_prefixes, detail::kLayersKey);
  for (const std::string& name : state_dict.others) {
    const StoredTensor& tensor = source.tensor(name);
    writer.add(name, tensor.dtype, tensor.shape, [&source, &tensor](const SafetensorsWriter::Sink& sink) {
      std::vector<std::byte> piece;
      for (std::uint64_t first = 0; first < tensor.bytes; first += piece.size()) {
        piece.resize(std::min<std::uint64_t>(tensor.bytes - first, 1 << 20));
        source.read(tensor, first, piece);
        sink(piece);
      }
    });
  }
  // Tied names of the tensors that stay as they are; those of layers were written as tensors of their own.
  const std::set<std::string> kept(state_dict.others.begin(), state_dict.others.end());
  const TensorNames names(source);
  for (const auto& [name, stored] : names.aliases()) {
    if (kept.count(stored) != 0) writer.set_metadata(name, stored);
  }
  writer.save(path);
}

}  // namespace bytegate
