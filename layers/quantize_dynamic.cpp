#include <bytegate/model.h>

#include <algorithm>

#include "layers/pattern.h"

namespace bytegate {
namespace {

std::string kind_of(const Layer& layer) {
  class Kind final : public LayerVisitor {
   public:
    std::string name;

   private:
    void begin(std::string_view kind, std::string_view) override { name = kind; }
  } kind;
  layer.describe(kind);
  return std::move(kind.name);
}

bool is_chosen_kind(std::string_view kind, const std::vector<std::string>& kinds) {
  if (!kinds.empty()) return std::ranges::count(kinds, kind) != 0;
  const LayerKind* known = find_layer_kind(kind);
  return !known || known->quantized_by_default;
}

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& p) { return detail::matches_pattern(p, name); });
}

void check_patterns(const std::vector<std::string>& patterns, const std::vector<NamedLayer>& layers, const char* what) {
  for (const std::string& pattern : patterns) {
    const auto matches = [&](const NamedLayer& l) { return detail::matches_pattern(pattern, l.name); };
    if (std::ranges::any_of(layers, matches)) continue;
    std::string names;
    for (const NamedLayer& l : layers) detail::append_text(names, {names.empty() ? "" : ", ", l.name});
    detail::throw_error(ErrorCode::invalid_argument, {"quantize_dynamic: the ", what, " pattern '", pattern,
                                                      "' matches no layer; there are: ", names});
  }
}

void check_kinds(const std::vector<std::string>& kinds, const std::vector<NamedLayer>& layers) {
  for (const std::string& kind : kinds) {
    const auto is_kind = [&](const NamedLayer& l) { return kind_of(*l.layer) == kind; };
    if (find_layer_kind(kind) || std::ranges::any_of(layers, is_kind)) continue;
    std::string names;
    for (const LayerKind& known : layer_kinds()) detail::append_text(names, {names.empty() ? "" : ", ", known.name});
    detail::throw_error(ErrorCode::invalid_argument,
                        {"quantize_dynamic: there is no kind of layer '", kind, "'; accepted: ", names});
  }
}

}  // namespace

bool QuantizeOptions::chooses(const std::string& name, std::string_view kind) const {
  const bool included = include.empty() || matches_any(include, name);
  return included && !matches_any(exclude, name) && is_chosen_kind(kind, kinds);
}

void QuantizeOptions::validate(const std::vector<NamedLayer>& layers) const {
  check_patterns(include, layers, "include");
  check_patterns(exclude, layers, "exclude");
  check_kinds(kinds, layers);
}

std::vector<NamedLayer> quantize_dynamic(const std::vector<NamedLayer>& layers, const QuantizeOptions& options) {
  options.validate(layers);
  std::vector<NamedLayer> quantized = layers;
  detail::for_each_layer(layers.size(), options.num_threads, [&](std::size_t i) {
    auto& [name, layer] = quantized[i];
    if (!options.chooses(name, kind_of(*layer))) return;
    try {
      if (LayerPtr q = layer->quantize_dynamic(options.scheme, options.backend)) layer = std::move(q);
    } catch (const Error& e) {
      detail::throw_error(e.code(), {"layer '", name, "': ", e.what()});
    }
  });
  return quantized;
}

Sequential quantize_dynamic(const Sequential& model, const QuantizeOptions& options) {
  Sequential quantized(model.name());
  for (NamedLayer& l : quantize_dynamic(model.layers(), options)) quantized.add(std::move(l.name), std::move(l.layer));
  return quantized;
}

}  // namespace bytegate
