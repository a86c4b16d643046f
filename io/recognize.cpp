#include "io/recognize.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "io/incomplete.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

using Tensors = ModuleTensors;

/// Tensors that share all of their name up to the last dot: those of one module.
struct Group {
  std::string prefix;  ///< with the dot
  Tensors tensors;
};

/// In the order of their data.
std::vector<Group> groups_of(const TensorNames& names) {
  using Item = std::pair<const std::string, const StoredTensor*>;
  std::vector<const Item*> items;
  for (const Item& item : names.tensors()) items.push_back(&item);
  std::ranges::sort(items, [](const Item* a, const Item* b) {  // tied tensors, and those without data, lie at one place
    const std::uint64_t x = a->second->offset, y = b->second->offset;
    return x == y ? a->first < b->first : x < y;
  });
  std::vector<Group> groups;
  std::map<std::string, std::size_t> index;
  for (const Item* item : items) {
    const std::string& name = item->first;
    const std::size_t split = module_end(name);
    const auto [place, is_new] = index.emplace(name.substr(0, split), groups.size());
    if (is_new) groups.push_back({name.substr(0, split), {}});
    groups[place->second].tensors.emplace(name.substr(split), item->second);
  }
  return groups;
}

/// The kinds whose mark the module has, the likeliest first.
std::vector<const LayerKind*> marked_kinds(const TensorNames& names, const std::string& prefix) {
  std::vector<const LayerKind*> kinds;
  for (const bool rarer : {false, true}) {
    for (const LayerKind& kind : layer_kinds()) {
      if (kind.outline == nullptr || kind.name_hint.empty() == rarer) continue;
      if (names.contains(join_text({prefix, kind.mark}))) kinds.push_back(&kind);
    }
  }
  return kinds;
}

/// What the module with spec's tensors is if it is of the kind; none, with a reason, if it is not.
std::optional<Claim> claim_of(const LayerFile& file, LayerSpec spec, const LayerKind& kind, FileSource::Tensors tensors,
                              std::string& reason) {
  spec.kind = &kind;
  spec.stated = {};
  spec.unstated = Unstated::as_tensors_show;
  try {
    return Claim{&kind, outline_of(file, spec, tensors)};
  } catch (const Error& error) {
    reason = error.what();
    return std::nullopt;
  }
}

/// Adds to a sentence that says why a module with the mark of some kinds is of none of them.
void add_reason(std::string& note, const std::string& prefix, const LayerKind& kind, const std::string& reason) {
  if (note.empty()) {
    append_text(note, {"tensor ", in_quotes(join_text({prefix, kind.mark})), " is not taken for "});
  } else {
    note += "; nor for ";
  }
  append_text(note, {kind.title, "'s: its module ", reason});
}

std::vector<std::string> stored_tensors(const TensorNames& names, const std::string& prefix) {
  std::vector<std::string> stored = names.of_module(prefix);
  for (std::string& name : stored) name = names.stored_name(name);
  return stored;
}

/// Names a layer after its module, less what begins every name, or a module without a name after its kind.
void name_layer(LayerSpec& spec, const std::vector<Group>& groups, std::size_t stripped) {
  if (!spec.prefix.empty()) {
    spec.name = spec.prefix.substr(stripped, spec.prefix.size() - 1 - stripped);
    return;
  }
  spec.name = spec.kind->name;
  while (std::ranges::any_of(groups, [&](const Group& g) { return g.prefix.starts_with(spec.name + '.'); }))
    spec.name += '_';
}

}  // namespace

Recognized recognize_layers(const LayerFile& file) {
  Recognized result;
  const std::vector<Group> groups = groups_of(file.names);
  for (const Group& group : groups) {
    LayerSpec spec;
    spec.prefix = group.prefix;
    std::string note;
    for (const LayerKind* kind : marked_kinds(file.names, group.prefix)) {
      std::string reason;
      if (auto claim = claim_of(file, spec, *kind, FileSource::Tensors::recognize, reason)) {
        spec.claims.push_back(std::move(*claim));
      } else if (kind->name_hint.empty() || note.empty()) {  // a rarer kind that has the same tensors adds nothing
        add_reason(note, group.prefix, *kind, reason);
      }
    }
    if (spec.claims.empty()) {
      if (std::string other = incomplete_note(group.prefix, group.tensors); !other.empty()) note = std::move(other);
      if (!note.empty()) result.notes.push_back(std::move(note));
      continue;
    }
    spec.choose(spec.claims.front());
    spec.tensors = stored_tensors(file.names, spec.prefix);
    name_layer(spec, groups, file.names.prefix().size());
    result.layers.push_back(std::move(spec));
  }
  return result;
}

void find_claims(const LayerFile& file, LayerSpec& spec) {
  spec.outline = outline_of(file, spec, FileSource::Tensors::check);
  spec.claims = {{spec.kind, spec.outline}};
  spec.tensors = stored_tensors(file.names, spec.prefix);
  if (!spec.kind->name_hint.empty()) return;
  for (const LayerKind* kind : marked_kinds(file.names, spec.prefix)) {
    std::string reason;
    if (kind->name_hint.empty()) continue;
    if (auto claim = claim_of(file, spec, *kind, FileSource::Tensors::check, reason))
      spec.claims.push_back(std::move(*claim));
  }
}

}  // namespace bytegate::detail
