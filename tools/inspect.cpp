// bytegate inspect: a model file, layer by layer.
#include <bytegate/model_file.h>
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "console.h"
#include "layer_report.h"
#include "load.h"

namespace bytegate::cli {
namespace {

struct InspectOptions {
  std::string file;
  ModelOptions model;
  bool json = false;
};

struct Inspection {
  std::string text;  ///< the layers as PyTorch prints them
  std::vector<LayerReport> layers;
  std::vector<std::string> others;  ///< tensors that are in no layer
  std::vector<std::string> notes;
  std::size_t parameters = 0;  ///< of the layers
  std::size_t bytes = 0;
  std::size_t file_bytes = 0;
};

Inspection inspect(const LoadedLayers& loaded, const std::string& file) {
  Inspection result;
  result.layers = report(loaded.layers());
  if (loaded.is_model()) {
    result.text = to_string(loaded.model);
  } else {
    result.text = "StateDict(";
    for (const LayerReport& layer : result.layers) result.text += fmt::format("\n  ({}): {}", layer.name, layer.text);
    result.text += "\n)";
  }
  result.others = loaded.parts.others;
  result.notes = remarks(loaded);
  if (!loaded.is_model()) result.notes.push_back("these are layers, not a model: " + loaded.why_parts_only);
  for (const LayerReport& layer : result.layers) {
    result.parameters += layer.parameters;
    result.bytes += layer.bytes;
  }
  result.file_bytes = static_cast<std::size_t>(std::filesystem::file_size(file));
  return result;
}

void print_scales(const std::vector<LayerReport>& layers) {
  Table table({1, 2, 3});
  table.add({"quantized tensor", "scales", "smallest", "largest"});
  bool any = false;
  for (const LayerReport& layer : layers) {
    for (const ScaleRange& range : layer.scales) {
      table.add(
          {range.tensor, with_commas(range.count), fmt::format("{:.4g}", range.min), fmt::format("{:.4g}", range.max)});
      any = true;
    }
  }
  if (!any) return;
  fmt::print("\n");
  table.print();
}

void print_as_text(const Inspection& result) {
  fmt::print("{}\n\n", result.text);
  Table table({1, 2});
  table.add({"layer", "parameters", "bytes", "weights"});
  for (const LayerReport& layer : result.layers) {
    table.add({layer.name, with_commas(layer.parameters), with_commas(layer.bytes),
               layer.parameters == 0 ? ""
               : layer.quantized     ? "int8"
                                     : "float32"});
  }
  table.add({"total", with_commas(result.parameters), with_commas(result.bytes), ""});
  table.print();
  fmt::print("\nfile: {} bytes\n", with_commas(result.file_bytes));
  for (const std::string& name : result.others) fmt::print("in no layer: {}\n", name);
  for (const std::string& note : result.notes) fmt::print("note: {}\n", note);
  print_scales(result.layers);
}

void print_as_json(const Inspection& result, const LoadedLayers& loaded, const std::string& file) {
  Json json;
  json["file"] = file;
  put_remarks(loaded, json);
  json["file_bytes"] = result.file_bytes;
  json["model"] = result.text;
  json["layers"] = Json::array();
  for (const LayerReport& layer : result.layers) json["layers"].push_back(to_json(layer));
  json["parameters"] = result.parameters;
  json["bytes"] = result.bytes;
  json["others"] = result.others;
  json["notes"] = result.notes;
  print_json(json);
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command = app.add_subcommand("inspect", "Show the layers of a model file, their sizes and their scales");
  auto options = std::make_shared<InspectOptions>();
  command->add_option("file", options->file, "A float or quantized model (safetensors)")->required();
  add_model_options(*command, options->model);
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options] {
    const LoadedLayers loaded = load(SafetensorsFile::load(options->file), options->model);
    const Inspection result = inspect(loaded, options->file);
    if (options->json)
      print_as_json(result, loaded, options->file);
    else
      print_as_text(result);
  });
}

}  // namespace bytegate::cli
