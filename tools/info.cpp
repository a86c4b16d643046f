// bytegate info: what this CPU offers, every backend and its state, and the one that is chosen.
#include <bytegate/backends.h>
#include <bytegate/error.h>
#include <fmt/core.h>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "console.h"

namespace bytegate::cli {
namespace {

struct Choice {
  const Backend* backend = nullptr;  ///< null: BYTEGATE_BACKEND names one that cannot be had
  std::string error;
};

Choice choose() {
  try {
    return {&default_backend(), ""};
  } catch (const Error& error) {
    return {nullptr, error.what()};
  }
}

/// Backends in the source tree that this build leaves out: name, processors they are for.
std::vector<std::pair<std::string, std::string>> not_built() {
  std::vector<std::pair<std::string, std::string>> all;
  std::istringstream words(BYTEGATE_NOT_BUILT);
  for (std::string word; words >> word;) {
    const std::size_t colon = word.find(':');
    all.emplace_back(word.substr(0, colon), word.substr(colon + 1));
  }
  return all;
}

/// The backend that would be chosen without BYTEGATE_BACKEND.
const Backend* best(const std::vector<BackendInfo>& backends) {
  for (const BackendInfo& info : backends)
    if (info.supported) return info.backend;
  return nullptr;
}

Json feature_list(CpuFeatures features) {
  Json names = Json::array();
  for (unsigned bit = 0; bit < 64; ++bit) {
    const CpuFeatures feature = CpuFeatures{1} << bit;
    if ((features & feature) != 0) names.push_back(feature_names(feature));
  }
  return names;
}

void print_as_json(const std::vector<BackendInfo>& backends, const Choice& choice) {
  Json json;
  json["version"] = BYTEGATE_VERSION;
  json["processor"] = BYTEGATE_PROCESSOR;
  json["cpu_features"] = feature_list(cpu_features());
  json["selected"] = choice.backend != nullptr ? Json(choice.backend->name) : Json(nullptr);
  json["best"] = best(backends) != nullptr ? Json(best(backends)->name) : Json(nullptr);
  if (!choice.error.empty()) json["error"] = choice.error;
  json["backends"] = Json::array();
  for (const BackendInfo& info : backends) {
    json["backends"].push_back({{"name", info.backend->name},
                                {"description", info.backend->description},
                                {"built", true},
                                {"supported", info.supported},
                                {"missing", info.missing},
                                {"chosen", info.backend == choice.backend},
                                {"priority", info.backend->priority}});
  }
  for (const auto& [name, processors] : not_built())
    json["backends"].push_back(
        {{"name", name}, {"built", false}, {"built_for", processors}, {"supported", false}, {"chosen", false}});
  print_json(json);
}

void print_as_text(const std::vector<BackendInfo>& backends, const Choice& choice) {
  const std::string features = feature_names(cpu_features());
  fmt::print("bytegate {} for {}\n", BYTEGATE_VERSION, BYTEGATE_PROCESSOR);
  fmt::print("usable CPU features that matter: {}\n\n", features.empty() ? "none found" : features);
  Table table;
  table.add({"backend", "built", "supported", "chosen", "what it is"});
  for (const BackendInfo& info : backends) {
    table.add({info.backend->name, "yes", info.supported ? "yes" : "no, needs " + info.missing,
               info.backend == choice.backend ? "yes" : "", info.backend->description});
  }
  for (const auto& [name, processors] : not_built()) table.add({name, "no", "", "", "for " + processors});
  table.print();
  if (choice.backend == nullptr) return;
  const bool forced = choice.backend != best(backends);
  fmt::print("\nselected: {} ({})\n", choice.backend->name,
             forced ? "BYTEGATE_BACKEND asks for it" : "the best that can run here");
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("info", "Show CPU features, every backend and its state, and the one that is chosen");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON; the key `selected` holds the name of the chosen backend");
  command->callback([json] {
    const std::vector<BackendInfo> backends = list_backends();
    const Choice choice = choose();
    if (*json)
      print_as_json(backends, choice);
    else
      print_as_text(backends, choice);
    if (choice.backend == nullptr) throw CommandFailed(choice.error);
  });
}

}  // namespace bytegate::cli
