// Models in files: PyTorch state dicts, and this library's self-describing quantized models, both safetensors.
#pragma once

#include <bytegate/model.h>
#include <bytegate/safetensors.h>

#include <filesystem>
#include <string>
#include <vector>

namespace bytegate {

struct LoadOptions {
  const Backend* backend = nullptr;
  /// Architecture as JSON, for a state dict that does not carry one; empty: the file's `architecture` metadata, or else recognized
  /// from the tensors' names and shapes.
  std::string architecture;
};

/// Reads a float or quantized model. The architecture is a JSON list of layers in order, each an object with `name`, `kind`
/// (embedding, lstm, linear, relu, flatten) and that layer's sizes under PyTorch's names. Without one, layers are recognized from the
/// state dict alone: X.weight_ih_l0... is an LSTM, X.weight [N, K] a Linear, or an Embedding where its use shows that; order is that
/// of the file's data. Throws Error (bad_file, io_error).
Sequential load_model(const std::filesystem::path& path, const LoadOptions& options = {});
Sequential load_model(const SafetensorsFile& file, const LoadOptions& options = {});

/// Writes a model, float or quantized, as one safetensors file that load_model reads back alone: int8 tensors under their PyTorch names
/// with `<name>_scale` (float32) beside, biases float32, and in the metadata the format version, scheme and architecture. Saving
/// a loaded model again gives the same bytes. Throws Error (io_error); the old file, if any, is kept whole then.
void save_model(const Sequential& model, const std::filesystem::path& path);

/// The architecture as JSON, as save_model writes it.
std::string architecture_json(const Sequential& model);

}  // namespace bytegate
