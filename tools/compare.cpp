// bytegate compare: how far an int8 model is from its float model, layer by layer and end to end.
#include <bytegate/model_file.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "accuracy.h"
#include "commands.h"
#include "console.h"
#include "layer_report.h"
#include "load.h"
#include "model_input.h"

namespace bytegate::cli {
namespace {

struct CompareOptions {
  std::string float_file;
  std::string int8_file;
  ModelOptions model;
  std::string input_file;
  RandomInput random;
  std::optional<double> threshold;
  bool json = false;
};

struct LayerComparison {
  LayerReport reference;
  LayerReport candidate;
  Accuracy alone;  ///< both layers fed with what the float model feeds its own
  std::optional<Accuracy>
      end_to_end;  ///< each layer fed by its own model, from the input on; none for layers that are no model
};

/// The prefix that makes every name of `shorter` the name of `longer` at the same place; empty if there is none.
std::string common_prefix(const std::vector<LayerReport>& longer, const std::vector<LayerReport>& shorter) {
  if (longer.empty() || longer.size() != shorter.size() || longer[0].name.size() <= shorter[0].name.size()) return "";
  std::string prefix = longer[0].name.substr(0, longer[0].name.size() - shorter[0].name.size());
  for (std::size_t i = 0; i < longer.size(); ++i) {
    if (longer[i].name != prefix + shorter[i].name) return "";
  }
  return prefix.back() == '.' ? prefix : "";
}

/// Both models' layers. A wrapper's prefix, which one of them may name and the other not, is left out.
std::pair<std::vector<LayerReport>, std::vector<LayerReport>> reports_of(const LoadedLayers& reference,
                                                                         const LoadedLayers& candidate) {
  std::vector<LayerReport> references = report(reference.layers()), candidates = report(candidate.layers());
  const auto strip = [](std::vector<LayerReport>& layers, const std::string& prefix) {
    for (LayerReport& layer : layers) layer.name.erase(0, prefix.size());
  };
  strip(references, common_prefix(references, candidates));
  strip(candidates, common_prefix(candidates, references));
  return {std::move(references), std::move(candidates)};
}

/// Models that can be compared have the same layers, apart from how weights are stored.
void check_same_layers(const std::vector<LayerReport>& reference, const std::vector<LayerReport>& candidate) {
  if (reference.empty()) throw CommandFailed("the float model has no layers");
  if (reference.size() != candidate.size())
    throw CommandFailed(fmt::format("the models differ: the float one has {} layers, the int8 one {}", reference.size(),
                                    candidate.size()));
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const LayerReport& r = reference[i];
    const LayerReport& c = candidate[i];
    if (r.name != c.name || r.kind != c.kind || r.sizes != c.sizes)
      throw CommandFailed(
          fmt::format("the models differ in layer {}: {} {}({}) in the float one, {} {}({}) in the int8 one", i + 1,
                      r.name, r.kind, r.sizes, c.name, c.kind, c.sizes));
    if (r.quantized && !c.quantized) {
      throw CommandFailed(
          fmt::format("layer {} is int8 in the first file and float32 in the second: the float model is the "
                      "reference and comes first (bytegate compare FLOAT INT8)",
                      r.name));
    }
  }
}

/// Runs one layer as a model of its own, which knows what each kind takes and gives.
ModelInput run(const std::string& name, const LayerPtr& layer, const ModelInput& x, Workspace& workspace) {
  Sequential model;
  model.add(name, layer);
  ModelInput y;
  y.floats = Tensor(model.output_shape(x.shape()));
  if (x.holds_indices())
    model.forward(x.index_view(), y.floats.view(), workspace);
  else
    model.forward(x.floats.view(), y.floats.view(), workspace);
  return y;
}

double work_of(const LayerReport& layer) { return static_cast<double>(layer.parameters) + 1; }

std::vector<LayerComparison> compare_models(const LoadedLayers& reference, const LoadedLayers& candidate,
                                            const ModelInput& input) {
  const auto [reports, candidate_reports] = reports_of(reference, candidate);
  check_same_layers(reports, candidate_reports);
  double work = 0;
  for (const LayerReport& layer : reports) work += 3 * work_of(layer);
  Progress progress("comparing", work);
  std::vector<LayerComparison> layers;
  Workspace workspace;
  ModelInput x = input;   // what the float model has made of the input so far
  ModelInput qx = input;  // what the int8 model has
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const auto& [name, layer] = reference.layers()[i];
    const LayerPtr& other = candidate.layers()[i].layer;
    const ModelInput alone = run(name, other, x, workspace);
    progress.advance(work_of(reports[i]));
    x = run(name, layer, x, workspace);
    progress.advance(work_of(reports[i]));
    qx = run(name, other, qx, workspace);
    progress.advance(work_of(reports[i]));
    layers.push_back({reports[i], candidate_reports[i], accuracy(x.floats.data, alone.floats.data),
                      accuracy(x.floats.data, qx.floats.data)});
  }
  return layers;
}

/// Layers that are no model: each by itself, on random inputs of its own.
std::vector<LayerComparison> compare_parts(const LoadedLayers& reference, const LoadedLayers& candidate,
                                           const RandomInput& random) {
  const auto [reports, candidate_reports] = reports_of(reference, candidate);
  check_same_layers(reports, candidate_reports);
  std::vector<LayerComparison> layers;
  Workspace workspace;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const ModelInput x = random_input({reference.layers()[i]}, random);
    const ModelInput y = run(reports[i].name, reference.layers()[i].layer, x, workspace);
    const ModelInput qy = run(reports[i].name, candidate.layers()[i].layer, x, workspace);
    layers.push_back({reports[i], candidate_reports[i], accuracy(y.floats.data, qy.floats.data), std::nullopt});
  }
  return layers;
}

std::string decibels(const std::optional<Accuracy>& accuracy) {
  if (!accuracy) return "";
  return accuracy->identical ? "identical" : fmt::format("{:.2f} dB", accuracy->sqnr_db);
}

std::string error_text(const std::optional<Accuracy>& accuracy) {
  return accuracy ? fmt::format("{:.3g}", accuracy->max_error) : "";
}

void print_as_text(const std::vector<LayerComparison>& layers, const std::string& input,
                   const std::vector<std::string>& notes) {
  fmt::print("input: {}\nbackend: {}\n", input, default_backend().name);
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  fmt::print("\n");
  const std::optional<Accuracy>& total = layers.back().end_to_end;
  Table table({1, 2, 3, 4});
  table.add({"layer", "SQNR alone", "max error", total ? "SQNR end to end" : "", total ? "max error" : "", ""});
  for (const LayerComparison& layer : layers) {
    table.add({layer.reference.name, decibels(layer.alone), error_text(layer.alone), decibels(layer.end_to_end),
               error_text(layer.end_to_end), layer.candidate.text});
  }
  table.print();
  if (!total) return;
  fmt::print("\nalone: each layer fed with the float model's activations; end to end: each model on its own\n");
  fmt::print("end to end: {}, maximum error {:.3g}\n", total->identical ? "identical" : "SQNR " + decibels(total),
             total->max_error);
}

Json to_json(const std::optional<Accuracy>& accuracy) {
  if (!accuracy) return nullptr;
  // JSON has no infinity: identical outputs have a null SQNR and say so.
  return {{"sqnr_db", accuracy->identical ? Json(nullptr) : Json(accuracy->sqnr_db)},
          {"max_error", accuracy->max_error},
          {"identical", accuracy->identical}};
}

Json layers_as_json(const std::vector<LayerComparison>& layers) {
  Json json = Json::array();
  for (const LayerComparison& layer : layers) {
    json.push_back({{"name", layer.reference.name},
                    {"float", layer.reference.text},
                    {"int8", layer.candidate.text},
                    {"alone", to_json(layer.alone)},
                    {"end_to_end", to_json(layer.end_to_end)}});
  }
  return json;
}

/// Why the two files can be compared layer by layer only; empty if they are models.
std::string why_no_models(const LoadedLayers& reference, const LoadedLayers& candidate) {
  return reference.is_model() ? candidate.why_parts_only : reference.why_parts_only;
}

/// What limits the meaning of the figures.
std::vector<std::string> notes_of(const LoadedLayers& reference, const LoadedLayers& candidate, bool random) {
  std::vector<std::string> notes;
  if (random) {
    notes.push_back(
        "random inputs are not your data, on which the error may be much larger or smaller; --input FILE takes a "
        "safetensors file with "
        "the tensor `input`");
  }
  if (reference.report.guessed && candidate.report.guessed) {
    notes.push_back(
        "both models were guessed: where the guess is wrong, both are wrong alike, and these figures do not show it");
  }
  for (const LoadedLayers* loaded : {&reference, &candidate}) {
    for (std::string& remark : remarks(*loaded)) {
      if (std::ranges::find(notes, remark) == notes.end()) notes.push_back(std::move(remark));
    }
  }
  return notes;
}

/// --architecture is that of the float file, and of this one if it does not have its own.
LoadedLayers load_candidate(const CompareOptions& options) {
  const SafetensorsFile file = SafetensorsFile::load(options.int8_file);
  if (options.model.architecture.empty()) return load(file, options.model);
  ModelOptions own = options.model;
  own.architecture.clear();
  try {
    LoadedLayers loaded = load(file, own);
    if (loaded.is_model()) return loaded;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::bad_file) throw;
  }
  return load(file, options.model);
}

void run_compare(const CompareOptions& options) {
  const LoadedLayers reference = load(SafetensorsFile::load(options.float_file), options.model);
  const LoadedLayers candidate = load_candidate(options);
  std::vector<LayerComparison> layers;
  std::string input_text;
  if (const std::string why = why_no_models(reference, candidate); !why.empty()) {
    if (options.threshold || !options.input_file.empty())
      throw CommandFailed("--threshold and --input need models that run from end to end: " + why);
    layers = compare_parts(reference, candidate, options.random);
    input_text = fmt::format("each layer by itself on random inputs, seed {}, T={}, B={} (no end to end: {})",
                             options.random.seed, options.random.steps, options.random.batch, why);
  } else {
    const ModelInput input = options.input_file.empty() ? random_input(reference.model.layers(), options.random)
                                                        : read_input(options.input_file);
    layers = compare_models(reference, candidate, input);
    input_text = input.description;
  }
  const std::vector<std::string> notes = notes_of(reference, candidate, options.input_file.empty());
  const std::optional<Accuracy>& total = layers.back().end_to_end;
  // Written so that a NaN fails.
  const bool passed = !options.threshold || (total && (total->identical || total->sqnr_db >= *options.threshold));
  if (options.json) {
    Json json;
    json["float"] = options.float_file;
    json["int8"] = options.int8_file;
    json["backend"] = default_backend().name;
    json["input"] = input_text;
    json["random_input"] = options.input_file.empty();
    json["both_guessed"] = reference.report.guessed && candidate.report.guessed;
    json["notes"] = notes;
    json["layers"] = layers_as_json(layers);
    json["end_to_end"] = to_json(total);
    json["threshold_db"] = options.threshold ? Json(*options.threshold) : Json(nullptr);
    json["passed"] = passed;
    print_json(json);
  } else {
    print_as_text(layers, input_text, notes);
  }
  if (!passed)
    throw CommandFailed(
        fmt::format("end-to-end SQNR {} is below the threshold of {:g} dB", decibels(total), *options.threshold));
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("compare", "Measure an int8 model against its float model, per layer and end to end");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("float", options->float_file, "The float model (safetensors)")->required();
  command->add_option("int8", options->int8_file, "The int8 model (safetensors)")->required();
  CLI::Option* input =
      command->add_option("--input", options->input_file,
                          "A safetensors file with the tensor `input` (F32; I64 for a model with an embedding)");
  const auto random_option = [&](const char* name, auto& value, const char* what) {
    command->add_option(name, value, what)->excludes(input)->capture_default_str();
  };
  random_option("--seed", options->random.seed, "Seed of the random inputs used without --input");
  random_option("--steps,-T", options->random.steps, "Their time steps T");
  random_option("--batch,-B", options->random.batch, "Their batch size B");
  command->add_option("--threshold", options->threshold, "Exit with 1 if the end-to-end SQNR is below this many dB");
  add_model_options(*command, options->model);
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options] { run_compare(*options); });
}

}  // namespace bytegate::cli
