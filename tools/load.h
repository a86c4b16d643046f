// Files as the subcommands load them.
#pragma once

#include <bytegate/model_file.h>

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "console.h"

namespace bytegate::cli {

/// How a file is loaded, and what the user says about one that does not say it.
struct ModelOptions {
  std::string architecture;  ///< path of a JSON file, or empty
  bool guess = false;
  int threads = 1;
};

/// Declares --architecture, --guess and --threads.
void add_model_options(CLI::App& command, ModelOptions& options);

/// A file's layers: a model that can be run, or the layers of a state dict that is none.
struct LoadedLayers {
  SafetensorsFile file;
  Sequential model;            ///< if the file is a whole model
  LoadReport report;           ///< of the model
  StateDict parts;             ///< if it is not
  std::string why_parts_only;  ///< empty for a whole model

  bool is_model() const { return why_parts_only.empty(); }
  const std::vector<NamedLayer>& layers() const { return is_model() ? model.layers() : parts.layers; }
  const std::string& stripped_prefix() const { return is_model() ? report.stripped_prefix : parts.stripped_prefix; }
  const std::vector<std::string>& notes() const { return is_model() ? report.notes : parts.notes; }
};

/// Throws for a file in which no layer is found, and for one that is no model although the options say what model it
/// is.
LoadedLayers load(SafetensorsFile file, const ModelOptions& options, const QuantizeOptions* quantize = nullptr);

/// Sentences about what was assumed or left out, which the user must know to trust the result: a guessed order, a
/// stripped prefix.
std::vector<std::string> remarks(const LoadedLayers& loaded);

/// The same for JSON: keys `guessed` and `stripped_prefix`.
void put_remarks(const LoadedLayers& loaded, Json& json);

}  // namespace bytegate::cli
