#include "io/tensor_names.h"

#include <algorithm>

#include "io/model_metadata.h"

namespace bytegate::detail {
namespace {

constexpr std::string_view kWrappers[] = {"module.", "_orig_mod.", "model."};

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

/// What follows a layer's name: the parameter itself, or the tensors that a parametrization keeps in its place.
bool belongs_to_nameless_layer(std::string_view name) {
  if (name.starts_with("parametrizations.")) return true;
  return name.empty() || (name.find('.') == std::string_view::npos && is_parameter_name(name));
}

}  // namespace

bool is_parameter_name(std::string_view last) {
  return last.find("weight") != std::string_view::npos || last.find("bias") != std::string_view::npos;
}

std::string_view without_wrappers(std::string_view name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view wrapper : kWrappers) {
      if (!name.starts_with(wrapper) || name.size() == wrapper.size()) continue;
      name.remove_prefix(wrapper.size());
      found = true;
    }
  }
  return name;
}

std::size_t module_end(const std::string& name) {
  constexpr std::string_view kParametrized = "parametrizations.";
  if (name.starts_with(kParametrized)) return 0;
  const std::size_t found = name.find('.' + std::string(kParametrized));
  return (found == std::string::npos ? name.rfind('.') : found) + 1;  // npos + 1 == 0: no dot
}

TensorNames::TensorNames(const SafetensorsFile& file) {
  for (const auto& [name, tensor] : file.tensors()) tensors_.emplace(name, &tensor);
  find_aliases(file);
  for (const auto& [name, stored] : aliases_) {
    if (is_parameter_name(last_part(name))) tensors_.emplace(name, &file.tensor(stored));
  }
  find_prefix();
}

void TensorNames::find_aliases(const SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  std::map<std::string, std::string> targets;  // of each key that was followed; empty: it leads to no tensor
  for (const auto& [first, unused] : metadata) {
    std::vector<std::string> path;
    std::string name = first, target;
    // A key may map to another key; one that leads back to itself ends at its own empty entry in `targets`.
    while (true) {
      if (file.contains(name)) {
        if (!path.empty()) target = name;
        break;
      }
      if (const auto known = targets.find(name); known != targets.end()) {
        target = known->second;
        break;
      }
      const auto entry = metadata.find(name);
      if (entry == metadata.end() || is_own_metadata_key(name)) break;
      targets[name];
      path.push_back(name);
      name = entry->second;
    }
    for (const std::string& key : path) targets[key] = target;
  }
  for (const auto& [name, target] : targets) {
    if (!target.empty()) aliases_.emplace(name, target);
  }
}

void TensorNames::find_prefix() {
  const auto can_strip = [&](std::string_view wrapper) {
    return !tensors_.empty() && std::ranges::all_of(tensors_, [&](const auto& item) {
      const std::string_view rest = std::string_view(item.first).substr(prefix_.size());
      return rest.starts_with(wrapper) && !belongs_to_nameless_layer(rest.substr(wrapper.size()));
    });
  };
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view wrapper : kWrappers) {
      if (!can_strip(wrapper)) continue;
      prefix_ += wrapper;
      found = true;
    }
  }
}

std::vector<std::string> TensorNames::of_module(const std::string& prefix) const {
  std::vector<std::string> names;
  for (auto item = tensors_.lower_bound(prefix); item != tensors_.end() && item->first.starts_with(prefix); ++item) {
    if (module_end(item->first) == prefix.size()) names.push_back(item->first);
  }
  return names;
}

const std::string& TensorNames::stored_name(const std::string& name) const {
  const auto found = aliases_.find(name);
  return found == aliases_.end() ? name : found->second;
}

const StoredTensor* TensorNames::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

bool TensorNames::any_begins_with(const std::string& prefix) const {
  const auto found = tensors_.lower_bound(prefix);
  return found != tensors_.end() && found->first.starts_with(prefix);
}

std::string TensorNames::layer_prefix(const std::string& layer) const {
  const std::string bare(without_wrappers(layer));
  for (const std::string& candidate : {layer, prefix_ + layer, prefix_ + bare, bare}) {
    if (any_begins_with(candidate + '.')) return join_text({candidate, "."});
  }
  return join_text({layer, "."});
}

std::optional<std::string> TensorNames::nameless_prefix() const {
  std::vector<std::string> candidates = {"", prefix_};
  for (const std::string_view wrapper : kWrappers) candidates.push_back(prefix_ + std::string(wrapper));
  for (const std::string& candidate : candidates) {
    const auto fits = [&](const auto& item) {
      return item.first.starts_with(candidate) && belongs_to_nameless_layer(item.first.substr(candidate.size()));
    };
    if (std::ranges::any_of(tensors_, fits)) return candidate;
  }
  return std::nullopt;
}

}  // namespace bytegate::detail
