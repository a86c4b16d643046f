#include "io/recognize.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "io/floats.h"
#include "io/layer_order.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

using Dims = std::vector<std::int64_t>;
using Tensors = std::map<std::string, const StoredTensor*>;  ///< by the part of the name after the last dot

/// Tensors that share all of their name up to the last dot: those of one module.
struct Group {
  std::string prefix;  ///< with the dot
  Tensors tensors;
};

/// In the order of their data.
std::vector<Group> groups_of(const SafetensorsFile& file) {
  using Item = std::pair<const std::string, StoredTensor>;
  std::vector<const Item*> items;
  for (const Item& item : file.tensors()) items.push_back(&item);
  std::ranges::sort(items, [](const Item* a, const Item* b) {  // tensors without data may lie at one place
    const auto *x = a->second.data.data(), *y = b->second.data.data();
    return x == y ? a->first < b->first : std::less<>()(x, y);
  });
  std::vector<Group> groups;
  std::map<std::string, std::size_t> index;
  for (const Item* item : items) {
    const std::string& name = item->first;
    const std::size_t split = name.rfind('.') + 1;  // npos + 1 == 0: no dot
    const auto [place, is_new] = index.emplace(name.substr(0, split), groups.size());
    if (is_new) groups.push_back({name.substr(0, split), {}});
    groups[place->second].tensors.emplace(name.substr(split), &item->second);
  }
  return groups;
}

/// Whether the group has that tensor, in a floating-point type and of that shape.
bool has(const Tensors& tensors, const std::string& name, const Dims& shape) {
  const auto found = tensors.find(name);
  return found != tensors.end() && found->second->shape == shape && is_float_dtype(found->second->dtype);
}

const Dims* matrix_shape(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found != tensors.end() && found->second->shape.size() == 2 ? &found->second->shape : nullptr;
}

bool begins_with_any(std::string_view text, std::initializer_list<std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return text.starts_with(beginning); });
}

/// The LSTM whose tensors these are; else why they are not one's.
std::variant<LSTMConfig, std::string> recognize_lstm(const Tensors& tensors) {
  const Dims* ih = matrix_shape(tensors, "weight_ih_l0");
  const Dims* hh = matrix_shape(tensors, "weight_hh_l0");
  if (ih == nullptr || hh == nullptr) return "weight_ih_l0 and weight_hh_l0 must be matrices";
  const Dims* hr = matrix_shape(tensors, "weight_hr_l0");
  const std::int64_t rows = (*ih)[0];
  const std::int64_t hidden = hr != nullptr ? (*hr)[1] : (*hh)[1];
  if (rows == hidden * 3 && hidden > 0) return "weight_ih_l0 has 3 rows for each hidden unit, as a GRU has; an LSTM has 4";
  if (rows == hidden && hidden > 0) return "weight_ih_l0 has a row for each hidden unit, as a plain RNN has; an LSTM has 4";
  if (rows % 4 != 0 || rows / 4 != hidden) {
    return "weight_ih_l0 has " + std::to_string(rows) + " rows for " + std::to_string(hidden) +
           " hidden units; an LSTM has 4 for each";
  }
  LSTMConfig config;
  config.input_size = (*ih)[1];
  config.hidden_size = hidden;
  config.proj_size = hr != nullptr ? (*hr)[0] : 0;
  config.bias = tensors.count("bias_ih_l0") != 0;
  config.bidirectional = tensors.count("weight_ih_l0_reverse") != 0;
  config.num_layers = 0;
  while (tensors.count("weight_ih" + lstm_suffix(config.num_layers, false)) != 0) ++config.num_layers;
  std::set<std::string> expected;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (const bool reverse : {false, true}) {
      if (reverse && !config.bidirectional) continue;
      std::string problem;
      const auto expect = [&](const char* part, const Dims& shape) {
        const std::string name = part + lstm_suffix(layer, reverse);
        if (problem.empty() && !has(tensors, name, shape)) {
          problem = "an LSTM like its first layer needs " + name + ' ' + list_text(shape) + " in floating point";
        }
        expected.insert(name);
      };
      expect("weight_ih", {rows, config.layer_input_size(layer)});
      expect("weight_hh", {rows, config.output_size()});
      if (config.bias) {
        expect("bias_ih", {rows});
        expect("bias_hh", {rows});
      }
      if (config.proj_size > 0) expect("weight_hr", {config.proj_size, hidden});
      if (!problem.empty()) return problem;
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (expected.count(name) == 0 && begins_with_any(name, {"weight_", "bias_"}))
      return "an LSTM like its first layer has no " + in_quotes(name);
  }
  try {
    check(config);
  } catch (const Error& error) {
    return error.what();
  }
  return config;
}

/// The Linear or Embedding of a module's one matrix and perhaps a bias; none, with a note if it looks like one.
std::optional<LayerSpec> recognize_matrix(const Group& group, std::vector<std::string>& notes) {
  const Dims* shape = matrix_shape(group.tensors, "weight");
  if (shape == nullptr) return std::nullopt;
  const auto refuse = [&](const std::string& why) {
    notes.push_back("tensor " + in_quotes(group.prefix + "weight") + " is not taken for a Linear's: " + why);
    return std::nullopt;
  };
  LayerSpec spec;
  spec.kind = LayerSpec::Kind::linear;
  spec.rows = (*shape)[0];
  spec.cols = (*shape)[1];
  spec.bias = group.tensors.count("bias") != 0;
  if (!has(group.tensors, "weight", *shape)) return refuse("it is " + group.tensors.at("weight")->dtype);
  if (spec.bias && !has(group.tensors, "bias", {spec.rows}))
    return refuse("its bias is not " + list_text(Dims{spec.rows}) + " in floating point");
  if (group.tensors.size() != (spec.bias ? 2u : 1u)) return refuse("its module has tensors besides weight and bias");
  if (spec.rows == 0 || spec.cols == 0) return refuse("it is empty");
  if (spec.cols > static_cast<std::int64_t>(kMaxK)) return refuse("it has more than " + std::to_string(kMaxK) + " columns");
  return spec;
}

/// Names a layer after its module, or a module without a name after its kind.
void name_layer(LayerSpec& spec, const Group& group, const std::vector<Group>& groups) {
  spec.prefix = group.prefix;
  if (!group.prefix.empty()) {
    spec.name = group.prefix.substr(0, group.prefix.size() - 1);
    return;
  }
  spec.name = spec.kind == LayerSpec::Kind::lstm ? "lstm" : "linear";
  while (std::ranges::any_of(groups, [&](const Group& g) { return g.prefix.starts_with(spec.name + '.'); })) spec.name += '_';
}

}  // namespace

Recognized recognize_layers(const SafetensorsFile& file) {
  Recognized result;
  const std::vector<Group> groups = groups_of(file);
  for (const Group& group : groups) {
    std::optional<LayerSpec> spec;
    if (group.tensors.count("weight_ih_l0") != 0) {
      auto lstm = recognize_lstm(group.tensors);
      if (const auto* config = std::get_if<LSTMConfig>(&lstm)) {
        spec.emplace();
        spec->kind = LayerSpec::Kind::lstm;
        spec->lstm = *config;
      } else {
        result.notes.push_back("the tensors " + in_quotes(group.prefix + "weight_ih_l0") +
                               " and so on are not taken for an LSTM's: " + std::get<std::string>(lstm));
      }
    } else {
      spec = recognize_matrix(group, result.notes);
    }
    if (!spec) continue;
    name_layer(*spec, group, groups);
    result.layers.push_back(std::move(*spec));
  }
  result.why_no_order = order_layers(result.layers);
  return result;
}

}  // namespace bytegate::detail
