// Models and the inputs they are tried on.
#pragma once

#include <bytegate/model_file.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bytegate::cli {

inline constexpr const char* kArchitectureHelp =
    "A JSON file with the list of layers, for a state dict whose forward() has more than its tensors show";

/// A file's layers: a model that can be run, or the layers of a state dict that is none.
struct LoadedLayers {
  SafetensorsFile file;
  Sequential model;            ///< if the file is a whole model
  StateDict parts;             ///< if it is not
  std::string why_parts_only;  ///< empty for a whole model

  bool is_model() const { return why_parts_only.empty(); }
  const std::vector<std::pair<std::string, Layer>>& layers() const { return is_model() ? model.layers() : parts.layers; }
};

/// `architecture` is the path of a JSON file, or empty. Throws for a file in which no layer is found.
LoadedLayers load(const std::string& file, const std::string& architecture);

/// Floats, or indices for a model that begins with an embedding.
struct ModelInput {
  Tensor floats;
  std::vector<std::int64_t> indices;
  Shape index_shape;
  std::string description;  ///< where it comes from, for the user

  bool holds_indices() const { return index_shape.rank() > 0; }
  const Shape& shape() const { return holds_indices() ? index_shape : floats.shape; }
  IndexView index_view() const { return {indices.data(), index_shape}; }
};

/// The tensor `input` of a safetensors file, F32 or I64.
ModelInput read_input(const std::string& file);

struct RandomInput {
  std::uint64_t seed = 1;
  std::int64_t steps = 100;
  std::int64_t batch = 1;
};

/// T x B rows for the first of these layers: floats uniform in -1..1, or uniform indices. The same on every machine.
ModelInput random_input(const std::vector<std::pair<std::string, Layer>>& layers, const RandomInput& options);

}  // namespace bytegate::cli
