#include <bytegate/model_file.h>
#include <fnmatch.h>

#include <algorithm>

#include "io/text.h"

namespace bytegate {
namespace {

bool matches(const std::string& pattern, const std::string& name) { return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0; }

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(pattern, name); });
}

void check_patterns(const std::vector<std::string>& patterns, const StateDict& state_dict, const char* what) {
  std::vector<std::string> names;
  for (const auto& [name, layer] : state_dict.layers) names.push_back(name);
  for (const std::string& pattern : patterns) {
    if (std::ranges::any_of(names, [&](const std::string& name) { return matches(pattern, name); })) continue;
    throw Error(ErrorCode::invalid_argument, std::string("quantize_dynamic: the ") + what + " pattern '" + pattern +
                                                 "' matches no layer; there are: " + detail::names_text(names, names.size()));
  }
}

}  // namespace

StateDict quantize_dynamic(const StateDict& state_dict, const QuantizeOptions& options) {
  check_patterns(options.include, state_dict, "include");
  check_patterns(options.exclude, state_dict, "exclude");
  StateDict quantized = state_dict;
  for (auto& [name, layer] : quantized.layers) {
    const bool chosen = (options.include.empty() || matches_any(options.include, name)) && !matches_any(options.exclude, name);
    if (!chosen) continue;
    try {
      layer = quantize_dynamic(layer, options);
    } catch (const Error& error) {
      throw Error(error.code(), "layer " + detail::in_quotes(name) + ": " + error.what());
    }
  }
  return quantized;
}

}  // namespace bytegate
