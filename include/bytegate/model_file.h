// Models in files: PyTorch state dicts, and this library's self-describing quantized models, both safetensors.
#pragma once

#include <bytegate/model.h>
#include <bytegate/safetensors.h>

#include <concepts>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// What load_model found out besides the model.
struct LoadReport {
  /// The order of the layers was guessed from their sizes: by this call (LoadOptions::guess_architecture), or when the
  /// file was written (SaveOptions::guessed). Layers without tensors (ReLU, dropout, ...) are then missing from the
  /// model if it has any.
  bool guessed = false;
  /// The wrappers' prefix that begins every tensor's name in the file ("module.") and was left out of the layers'
  /// names; often empty.
  std::string stripped_prefix;
  /// What the names of each layer's tensors begin with in the file, "module.lstm."; empty for the state dict of a lone
  /// module.
  std::vector<std::string> tensor_prefixes;
  /// What was ignored in the file, a sentence each.
  std::vector<std::string> notes;
};

struct LoadOptions {
  const Backend* backend = nullptr;
  /// Architecture as JSON, for a state dict that does not carry one; empty: the file's `architecture` metadata.
  std::string architecture{};
  /// Accept tensors that no layer uses. Otherwise they are an error, since a layer may have been forgotten.
  bool ignore_extra = false;
  /// Of the model; empty: the file's `name` metadata, or else "Sequential".
  std::string name{};
  /// Without an architecture: put the layers into the one order that their sizes allow. More than one order, or none,
  /// is an error. Nothing in a state dict tells of a ReLU, or of what else forward() does, so the model may still be
  /// another than the file's.
  bool guess_architecture = false;
  /// Quantize each layer that these options choose while it is read, which needs no memory for the float model. Null:
  /// the layers stay as the file has them. Layers that are int8 in the file stay as they are.
  const QuantizeOptions* quantize = nullptr;
  /// Filled in by load_model if it is not null.
  LoadReport* report = nullptr;
  /// Threads that read, quantize and pack the layers, 1 to 256, a layer on each. Models and errors are the same for any
  /// number; of several layers that cannot be made, the first in order is reported.
  int num_threads = 1;
};

/// Reads a float or quantized model. The architecture is a JSON list of layers in order, each an object with `name`,
/// `kind` (one of layer_kinds(); dropout and identity do nothing and are left out) and that layer's sizes and options
/// under PyTorch's names. What the tensors tell (all sizes, num_layers, bias, bidirectional, proj_size) may be left
/// out; what is stated must agree with them. What they do not tell has PyTorch's default (batch_first is false, an
/// RNN's nonlinearity tanh).
///
/// A state dict without an architecture is a model only if it holds one layer. More are an Error (bad_file) that lists
/// them, unless guess_architecture is set: a state dict does not say in which order the layers run, nor what happens
/// between them. Layers are recognized by their tensors: X.weight_ih_l0... is an LSTM, GRU or RNN named X, by its rows
/// for each hidden unit (X.weight_ih... a cell), X.weight [N, K] a Linear, or an Embedding where sizes or its name
/// ("emb") show that. A layer whose tensors have no prefix (the state dict of a lone module) is named after its kind.
/// `module.`, `_orig_mod.` and `model.` (DataParallel, torch.compile, Lightning) are left out of the names where every
/// name begins with them; an architecture may name layers with or without them. Tied weights that the safetensors
/// package stored once are found under both names. Float weights may be F32, F16, BF16 or F64, and are converted to
/// float32. Throws Error (bad_file, io_error; invalid_argument for options), std::system_error if a thread cannot be
/// started.
///
///     LoadOptions options;
///     options.architecture = R"([{"name": "lstm", "kind": "lstm"}, {"name": "act", "kind": "relu"}, {"name": "fc",
///     "kind": "linear"}])"; const Sequential model = load_model("model.safetensors", options);
Sequential load_model(const std::filesystem::path& path, const LoadOptions& options = {});
Sequential load_model(const SafetensorsFile& file, const LoadOptions& options = {});

struct SaveOptions {
  /// LoadReport::tensor_prefixes, to write the tensors under the names that the model's own file has; one a layer.
  /// Empty: each layer's name and a dot.
  std::vector<std::string> tensor_prefixes{};
  /// The model's architecture was guessed (LoadReport::guessed); the file then says so.
  bool guessed = false;
};

/// Writes a model, float or quantized, as one safetensors file that load_model reads back alone: int8 tensors under
/// their PyTorch names with `<name>_scale` (float32) beside, biases float32, and in the metadata the format version,
/// scheme and architecture. Saving a loaded model again (with its report's tensor_prefixes, if it was saved with some)
/// gives the same bytes. Throws Error (io_error; invalid_argument for a layer of a user's own, for names that are not
/// UTF-8 and for an architecture of more than 1 MiB); the old file, if any, is kept whole then.
void save_model(const Sequential& model, const std::filesystem::path& path, const SaveOptions& options = {});

/// The architecture as JSON, as save_model writes it.
std::string architecture_json(const Sequential& model);

/// What is known of a state dict that need not be a whole model: layers this library has, and tensors of others.
struct StateDict {
  std::vector<NamedLayer> layers;  ///< in no order of use; named as by load_model
  std::vector<std::string>
      tensor_prefixes;              ///< one a layer, as in LoadReport; save_state_dict writes these names again
  std::vector<std::string> others;  ///< names of the tensors that are in no layer
  std::vector<std::string> notes;   ///< what tensors are that look like a layer's and are not, a sentence each
  std::string stripped_prefix;      ///< as in LoadReport

  /// The layer of that name. Throws Error (invalid_argument), which lists the names, if there is none.
  const Layer& layer(std::string_view name) const;
  /// The same as an L. It is an Error (invalid_argument), too, if the layer is of another class:
  /// `state_dict.layer<LSTM>("encoder")`.
  template <std::derived_from<Layer> L>
  const L& layer(std::string_view name) const {
    const Layer& found = layer(name);
    if (const L* as = dynamic_cast<const L*>(&found)) return *as;
    throw Error(ErrorCode::invalid_argument,
                "layer '" + std::string(name) + "' is of another class: " + to_string(found));
  }
};

/// Reads the layers that can be recognized (or are in LoadOptions::architecture, in any order), in a state dict or in a
/// file of save_state_dict. Throws Error (bad_file, io_error).
StateDict load_state_dict(const SafetensorsFile& file, const LoadOptions& options = {});

/// quantize_dynamic for layers that are no model. A pattern that matches no layer is an Error (invalid_argument).
StateDict quantize_dynamic(const StateDict& state_dict, const QuantizeOptions& options = {});

/// Writes the layers as save_model does, and state_dict.others as they are in `source`. The file says that its layers
/// are no model: load_model takes it with an architecture or guess_architecture only. Throws Error (io_error,
/// invalid_argument).
void save_state_dict(const StateDict& state_dict, const SafetensorsFile& source, const std::filesystem::path& path);

}  // namespace bytegate
#pragma GCC visibility pop
