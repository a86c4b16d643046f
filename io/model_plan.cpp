#include "io/model_plan.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "io/layer_order.h"
#include "io/recognize.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

/// Notes as the end of an error's text.
std::string notes_text(const std::vector<std::string>& notes) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, notes.size()); ++i) append_text(text, {"; ", notes[i]});
  if (notes.size() > kMost) append_text(text, {"; and ", notes.size() - kMost, " more notes of this kind"});
  return text;
}

/// Finds the tensors of each layer, whose names the architecture may give with the wrappers or without.
void find_prefixes(std::vector<LayerSpec>& specs, const TensorNames& names) {
  const auto has_tensors = [](const LayerSpec& spec) { return spec.kind->has_tensors; };
  const auto find_prefix = [&](LayerSpec& spec) {
    const bool whole = has_tensors(spec) || spec.name.starts_with(names.prefix());
    spec.prefix = whole ? names.layer_prefix(spec.name) : names.prefix() + spec.name + '.';
  };
  for (LayerSpec& spec : specs) {
    find_prefix(spec);
    std::ranges::for_each(spec.folds, find_prefix);
  }
  // The state dict of a lone module has no prefix; an architecture of one layer with tensors finds them there too.
  if (std::ranges::count_if(specs, has_tensors) != 1) return;
  LayerSpec& lone = *std::ranges::find_if(specs, has_tensors);
  if (!lone.folds.empty()) return;
  if (names.any_begins_with(lone.prefix)) return;
  if (std::optional<std::string> prefix = names.nameless_prefix()) lone.prefix = std::move(*prefix);
}

/// The layers that save_state_dict wrote into the metadata.
std::vector<LayerSpec> listed_layers(const LayerFile& file, const ModelMetadata& metadata) {
  if (metadata.layers.empty()) return {};
  const TensorNames& names = file.names;
  std::vector<LayerSpec> specs = parse_architecture(metadata.layers, file.file.what(), Unstated::defaults);
  find_prefixes(specs, names);
  for (LayerSpec& spec : specs) {
    if (spec.name.starts_with(names.prefix()) && spec.prefix == spec.name + '.')
      spec.name.erase(0, names.prefix().size());
  }
  return specs;
}

/// Int8 layers of a state dict keep their scheme where an architecture does not state it.
void take_schemes(const LayerFile& file, std::vector<LayerSpec>& specs, const std::vector<LayerSpec>& known) {
  for (LayerSpec& spec : specs) {
    const auto found = std::ranges::find(known, spec.prefix, &LayerSpec::prefix);
    if (found == known.end()) continue;
    FileSource source(file, *found, FileSource::Tensors::check);
    if (source.states("scheme")) spec.scheme = source.scheme();
  }
}

/// The layers of the caller's or the file's architecture; none without one.
std::vector<LayerSpec> stated_layers(const LayerFile& file, const ModelMetadata& metadata, const std::string& given) {
  const bool lenient = !given.empty() || !metadata.is_ours;
  const std::string& text = given.empty() ? metadata.architecture : given;
  const Unstated unstated = lenient ? Unstated::as_tensors_show : Unstated::defaults;
  std::vector<LayerSpec> specs = parse_architecture(text, file.file.what(), unstated);
  find_prefixes(specs, file.names);
  if (lenient) take_schemes(file, specs, listed_layers(file, metadata));
  return specs;
}

/// "lstm: LSTM(10, 20)", with all that a layer may be unless it was taken for something less likely.
std::string found_text(const LayerSpec& spec) {
  std::string text = join_text({printable(spec.name), ": ", spec.outline.text});
  if (spec.kind != spec.claims.front().kind) return text;
  for (const Claim& claim : spec.claims) {
    if (claim.kind != spec.kind) append_text(text, {" or ", claim.outline.text});
  }
  return text;
}

std::string layers_text(const std::vector<LayerSpec>& layers) {
  constexpr std::size_t kMost = 40;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, layers.size()); ++i)
    append_text(text, {i == 0 ? "" : ", ", found_text(layers[i])});
  if (layers.size() > kMost) append_text(text, {" and ", layers.size() - kMost, " more"});
  return text;
}

/// "Embedding, LSTM or Linear": the kinds that are recognized.
std::string recognized_kinds() {
  std::vector<std::string> names;
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.outline != nullptr) names.emplace_back(kind.title.substr(kind.title.find(' ') + 1));
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    append_text(text, {i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i]});
  return text;
}

constexpr const char* kSayArchitecture =
    "give an architecture, a JSON list of the layers in the order of their use such as [{\"name\": \"lstm\", \"kind\": "
    "\"lstm\"}, "
    "{\"name\": \"act\", \"kind\": \"relu\"}, {\"name\": \"fc\", \"kind\": \"linear\"}] (LoadOptions::architecture; on "
    "the command line "
    "--architecture FILE)";

/// Layers of a file that does not say how a model runs them.
Plan unordered_plan(const LayerFile& file, const ModelMetadata& metadata) {
  Plan plan;
  plan.notes = metadata.notes;
  if (!metadata.layers.empty()) {
    plan.layers = listed_layers(file, metadata);
    return plan;
  }
  if (metadata.is_ours) fail_bad_file(file.file.what(), {"the metadata has no `architecture`"});
  Recognized recognized = recognize_layers(file);
  plan.layers = std::move(recognized.layers);
  std::ranges::move(recognized.notes, std::back_inserter(plan.notes));
  return plan;
}

}  // namespace

Plan model_plan(const LayerFile& file, const ModelMetadata& metadata, const LoadOptions& options) {
  if (!options.architecture.empty() || !metadata.architecture.empty()) {
    return {stated_layers(file, metadata, options.architecture), metadata.notes,
            options.architecture.empty() && metadata.guessed};
  }
  const std::string& what = file.file.what();
  Plan plan = unordered_plan(file, metadata);
  if (plan.layers.empty()) {
    fail_bad_file(what, {"no ", recognized_kinds(), " is recognized in its ", file.file.tensors().size(), " tensors",
                         notes_text(plan.notes)});
  }
  // One layer is a model where nothing speaks against it. save_state_dict says that its layers are none.
  if (plan.layers.size() == 1 && metadata.layers.empty()) {
    choose_claims(plan.layers);
    return plan;
  }
  if (!metadata.layers.empty()) {
    for (LayerSpec& spec : plan.layers) find_claims(file, spec);
  }
  if (!options.guess_architecture) {
    choose_claims(plan.layers);
    fail_bad_file(what, {"it holds ", plan.layers.size(), plan.layers.size() == 1 ? " layer" : " layers",
                         " but no architecture, which says in what order a model runs them and what is between them: ",
                         layers_text(plan.layers), "; ", kSayArchitecture,
                         ", or ask for a guess by the layers' sizes (LoadOptions::guess_architecture, --guess)",
                         notes_text(plan.notes)});
  }
  if (const std::string why = order_by_sizes(plan.layers); !why.empty()) {
    fail_bad_file(what, {"the architecture cannot be guessed from the sizes of its layers: ", why, "; they are ",
                         layers_text(plan.layers), "; ", kSayArchitecture, notes_text(plan.notes)});
  }
  plan.guessed = true;
  return plan;
}

Plan state_dict_plan(const LayerFile& file, const ModelMetadata& metadata, const LoadOptions& options) {
  if (!options.architecture.empty() || !metadata.architecture.empty())
    return {stated_layers(file, metadata, options.architecture), metadata.notes, false};
  Plan plan = unordered_plan(file, metadata);
  choose_claims(plan.layers);
  return plan;
}

std::string stripped_prefix(const Plan& plan, const TensorNames& names) {
  if (names.prefix().empty()) return "";
  const bool any = std::ranges::any_of(plan.layers, [&](const LayerSpec& spec) {
    return spec.kind->has_tensors && spec.prefix == names.prefix() + spec.name + '.';
  });
  return any ? names.prefix() : "";
}

}  // namespace bytegate::detail
