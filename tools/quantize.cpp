// bytegate quantize: a float state dict in, a quantized model that can be run from its file alone out.
#include <bytegate/model_file.h>
#include <fmt/core.h>

#include <algorithm>
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

struct QuantizeArguments {
  std::string in;
  std::string out;
  std::string scheme = "per_row";
  ModelOptions model;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool embedding = false;
};

std::size_t file_size(const std::string& path) { return static_cast<std::size_t>(std::filesystem::file_size(path)); }

bool any_quantized(const std::vector<LayerReport>& layers) {
  return std::any_of(layers.begin(), layers.end(), [](const LayerReport& layer) { return layer.quantized; });
}

/// Whether a matrix of the file is int8 with scales.
bool holds_int8(const SafetensorsFile& file) {
  const auto is_int8 = [&](const auto& item) {
    return item.second.dtype == "I8" && file.contains(item.first + "_scale");
  };
  return std::any_of(file.tensors().begin(), file.tensors().end(), is_int8);
}

bool quantized_by_default(const std::string& kind) {
  const LayerKind* known = find_layer_kind(kind);
  return !known || known->quantized_by_default;
}

/// Why a layer of the result is as it is.
std::string outcome(const LayerReport& layer, bool embedding) {
  if (layer.quantized) return "quantized";
  if (layer.parameters == 0) return "no weights";
  if (!quantized_by_default(layer.kind) && !embedding) return "stays float32 (--embedding quantizes it)";
  return "stays float32 (left out by --include or --exclude)";
}

void print_layers(const std::vector<LayerReport>& layers, bool embedding) {
  Table table({1, 2});
  table.add({"layer", "float bytes", "bytes", "", ""});
  for (const LayerReport& layer : layers) {
    table.add({layer.name, with_commas(layer.parameters * sizeof(float)), with_commas(layer.bytes),
               outcome(layer, embedding), layer.text});
  }
  table.print();
}

void save(const LoadedLayers& quantized, const std::string& path) {
  if (quantized.is_model()) {
    save_model(quantized.model, path, {quantized.report.tensor_prefixes, quantized.report.guessed});
  } else {
    save_state_dict(quantized.parts, quantized.file, path);
  }
}

/// What is in the file besides the layers, and what that means for the result.
void print_rest(const LoadedLayers& loaded) {
  for (const std::string& name : loaded.parts.others) fmt::print("  {}: in no layer, stays as it is\n", name);
  for (const std::string& remark : remarks(loaded)) fmt::print("note: {}\n", remark);
  if (loaded.is_model()) return;
  fmt::print("note: the result holds layers, not a model that runs by itself: {}\n", loaded.why_parts_only);
}

void run_quantize(const QuantizeArguments& arguments) {
  QuantizeOptions options;
  options.scheme = parse_scheme(arguments.scheme);
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  if (arguments.embedding) {
    for (const LayerKind& kind : layer_kinds()) options.kinds.emplace_back(kind.name);
  }
  std::error_code ignored;  // either file may not exist, which is not this check's business
  if (std::filesystem::equivalent(arguments.in, arguments.out, ignored))
    throw CommandFailed(arguments.out + " is the input file; the float weights would be lost");

  const SafetensorsFile file = SafetensorsFile::load(arguments.in);
  if (holds_int8(file)) throw CommandFailed(arguments.in + " is quantized already");
  Progress progress("quantizing", 2);
  const LoadedLayers quantized = load(file, arguments.model, &options);
  const std::vector<LayerReport> layers = report(quantized.layers());
  if (!any_quantized(layers)) {
    throw CommandFailed("nothing to quantize: no layer of " + arguments.in + " was chosen; " + arguments.out +
                        " was not written");
  }
  progress.advance(1);
  save(quantized, arguments.out);
  progress.finish();
  fmt::print("scheme: {}\n\n", to_string(options.scheme));
  print_layers(layers, arguments.embedding);
  print_rest(quantized);
  const std::size_t in_bytes = file_size(arguments.in);
  const std::size_t out_bytes = file_size(arguments.out);
  fmt::print("\n{}: {} bytes\n{}: {} bytes, {:.3f} of it\n", arguments.in, with_commas(in_bytes), arguments.out,
             with_commas(out_bytes),
             static_cast<double>(out_bytes) / static_cast<double>(std::max<std::size_t>(in_bytes, 1)));
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("quantize", "Quantize the LSTM and Linear layers of a PyTorch state dict (safetensors)");
  auto arguments = std::make_shared<QuantizeArguments>();
  command->add_option("in", arguments->in, "The float model: a state dict as safetensors")->required();
  command->add_option("out", arguments->out, "The quantized model to write; replaced if it exists")->required();
  command
      ->add_option("--scheme", arguments->scheme,
                   "per_row, or PyTorch's arithmetic: torch, torch_per_channel_7bit, ...")
      ->capture_default_str();
  command
      ->add_option("--include", arguments->include,
                   "Quantize only layers of this name (* and ? as in a shell); may be repeated")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command->add_option("--exclude", arguments->exclude, "Leave layers of this name in float32; may be repeated")
      ->type_name("PATTERN")
      ->expected(1)
      ->take_all();
  command->add_flag("--embedding", arguments->embedding, "Quantize embeddings too, row by row");
  add_model_options(*command, arguments->model);
  command->callback([arguments] { run_quantize(*arguments); });
}

}  // namespace bytegate::cli
