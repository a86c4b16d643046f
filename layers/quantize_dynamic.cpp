#include <bytegate/model.h>
#include <fnmatch.h>

#include <algorithm>

namespace bytegate {
namespace {

bool matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& p) { return fnmatch(p.c_str(), name.c_str(), 0) == 0; });
}

void check_patterns(const std::vector<std::string>& patterns, const Sequential& model, const char* what) {
  for (const std::string& pattern : patterns) {
    if (std::ranges::any_of(model.layers(), [&](const auto& l) { return matches({pattern}, l.first); })) continue;
    std::string names;
    for (const auto& [name, layer] : model.layers()) names += (names.empty() ? "" : ", ") + name;
    throw Error(ErrorCode::invalid_argument,
                std::string("quantize_dynamic: the ") + what + " pattern '" + pattern + "' matches no layer; there are: " + names);
  }
}

}  // namespace

Layer quantize_dynamic(const Layer& layer, const QuantizeOptions& options) {
  if (const auto* l = std::get_if<Linear>(&layer); l && (options.kinds & kLinear)) {
    return DynamicQuantizedLinear::from_float(*l, options.scheme, options.backend);
  }
  if (const auto* l = std::get_if<LSTM>(&layer); l && (options.kinds & kLSTM)) {
    return DynamicQuantizedLSTM::from_float(*l, options.scheme, options.backend);
  }
  if (const auto* l = std::get_if<Embedding>(&layer); l && (options.kinds & kEmbedding)) return QuantizedEmbedding::from_float(*l);
  return layer;
}

Sequential quantize_dynamic(const Sequential& model, const QuantizeOptions& options) {
  check_patterns(options.include, model, "include");
  check_patterns(options.exclude, model, "exclude");
  Sequential quantized(model.name());
  for (const auto& [name, layer] : model.layers()) {
    const bool chosen = (options.include.empty() || matches(options.include, name)) && !matches(options.exclude, name);
    try {
      quantized.add(name, chosen ? quantize_dynamic(layer, options) : layer);
    } catch (const Error& e) {
      throw Error(e.code(), "layer '" + name + "': " + e.what());
    }
  }
  return quantized;
}

}  // namespace bytegate
