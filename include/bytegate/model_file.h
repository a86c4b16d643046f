// Models in files: PyTorch state dicts, and this library's self-describing quantized models, both safetensors.
#pragma once

#include <bytegate/model.h>
#include <bytegate/safetensors.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bytegate {

struct LoadOptions {
  const Backend* backend = nullptr;
  /// Architecture as JSON, for a state dict that does not carry one; empty: the file's `architecture` metadata, or else recognized
  /// from the tensors' names and shapes.
  std::string architecture{};
  /// Accept tensors that no layer uses. Otherwise they are an error, since a layer may have been forgotten.
  bool ignore_extra = false;
  /// Of the model; empty: the file's `name` metadata, or else "Sequential".
  std::string name{};
};

/// Reads a float or quantized model. The architecture is a JSON list of layers in order, each an object with `name`, `kind`
/// (embedding, lstm, linear, relu, flatten) and that layer's sizes under PyTorch's names. Without one, layers are recognized from the
/// state dict alone: X.weight_ih_l0... is an LSTM, X.weight [N, K] a Linear, or an Embedding where its use shows that; the order
/// is that of the file's data if each layer then takes what the one before gives, else the one order for which that is so. What
/// has no tensors (ReLU, Flatten, batch_first) cannot be seen there: a model that has it needs an architecture.
/// A layer whose tensors have no prefix (the state dict of a lone module) is named after its kind.
/// Float weights may be F32, F16, BF16 or F64, and are converted to float32. Throws Error (bad_file, io_error).
Sequential load_model(const std::filesystem::path& path, const LoadOptions& options = {});
Sequential load_model(const SafetensorsFile& file, const LoadOptions& options = {});

/// Writes a model, float or quantized, as one safetensors file that load_model reads back alone: int8 tensors under their PyTorch names
/// with `<name>_scale` (float32) beside, biases float32, and in the metadata the format version, scheme and architecture. Saving
/// a loaded model again gives the same bytes. Throws Error (io_error); the old file, if any, is kept whole then.
void save_model(const Sequential& model, const std::filesystem::path& path);

/// The architecture as JSON, as save_model writes it.
std::string architecture_json(const Sequential& model);

/// What is known of a state dict that need not be a whole model: layers this library has, and tensors of others.
struct StateDict {
  std::vector<std::pair<std::string, Layer>> layers;  ///< in the order of the file's data; names may hold dots
  std::vector<std::string> others;                    ///< names of the tensors that are in no layer
  std::vector<std::string> notes;                     ///< why tensors that look like a layer's are among them, a sentence each
};

/// Reads the layers that can be recognized (or are in LoadOptions::architecture, in any order), in a state dict or in a file of
/// save_state_dict. Throws Error (bad_file, io_error).
StateDict load_state_dict(const SafetensorsFile& file, const LoadOptions& options = {});

/// quantize_dynamic for layers that are no model. A pattern that matches no layer is an Error (invalid_argument).
StateDict quantize_dynamic(const StateDict& state_dict, const QuantizeOptions& options = {});

/// Writes the layers as save_model does, and state_dict.others as they are in `source`. The file says that its layers are no model:
/// load_model takes it with an architecture only. Throws Error (io_error, invalid_argument).
void save_state_dict(const StateDict& state_dict, const SafetensorsFile& source, const std::filesystem::path& path);

}  // namespace bytegate
