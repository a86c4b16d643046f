#include "load.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "commands.h"

namespace bytegate::cli {

void add_model_options(CLI::App& command, ModelOptions& options) {
  CLI::Option* architecture = command.add_option("--architecture", options.architecture,
                                                 "A JSON file with the list of layers in the order of their use, for a "
                                                 "state dict, which does not tell what forward() does");
  command
      .add_flag("--guess", options.guess,
                "Order the layers of a state dict by their sizes, if these allow one order only; what has no tensors "
                "is missed")
      ->excludes(architecture);
  command.add_option("--threads", options.threads, "Threads that read the layers, at most one a layer")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
}

LoadedLayers load(SafetensorsFile file, const ModelOptions& options, const QuantizeOptions* quantize) {
  LoadOptions load_options;
  load_options.quantize = quantize;
  load_options.guess_architecture = options.guess;
  load_options.num_threads = options.threads;
  if (!options.architecture.empty()) {
    std::ifstream in(options.architecture, std::ios::binary);
    load_options.architecture.assign(std::istreambuf_iterator<char>(in), {});
    if (!in || load_options.architecture.empty())
      throw CommandFailed("cannot read the architecture file " + options.architecture);
  }
  LoadedLayers loaded{std::move(file), Sequential(), {}, {}, ""};
  load_options.report = &loaded.report;
  try {
    loaded.model = load_model(loaded.file, load_options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file || options.guess) throw;
    loaded.parts = load_state_dict(loaded.file, load_options);
    if (loaded.parts.layers.empty()) throw;
    loaded.why_parts_only = error.what();
    for (const std::string& note : loaded.parts.notes) {  // they are told apart from the reason
      if (const std::size_t at = loaded.why_parts_only.find("; " + note); at != std::string::npos)
        loaded.why_parts_only.erase(at, 2 + note.size());
    }
  }
  return loaded;
}

std::vector<std::string> remarks(const LoadedLayers& loaded) {
  std::vector<std::string> all;
  if (!loaded.stripped_prefix().empty()) {
    all.push_back(fmt::format("all names begin with `{}`, which is left out here", loaded.stripped_prefix()));
  }
  if (loaded.is_model() && loaded.report.guessed) {
    std::string chain;
    for (const auto& [name, layer] : loaded.layers()) chain += (chain.empty() ? "" : " -> ") + name;
    all.push_back(fmt::format(
        "guessed from the layers' sizes, since {} has no architecture: {}; layers without tensors (ReLU, dropout, "
        "...) and whatever else forward() does are not in it",
        loaded.file.what(), chain));
  }
  all.insert(all.end(), loaded.notes().begin(), loaded.notes().end());
  return all;
}

void put_remarks(const LoadedLayers& loaded, Json& json) {
  json["guessed"] = loaded.is_model() && loaded.report.guessed;
  json["stripped_prefix"] = loaded.stripped_prefix();
}

}  // namespace bytegate::cli
