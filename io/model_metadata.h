// The metadata by which a file says that this library wrote it, and how it is to be read.
#pragma once

#include <bytegate/safetensors.h>

#include <optional>
#include <string>

#include "io/architecture.h"

namespace bytegate::detail {

inline constexpr const char* kNameKey = "name";
inline constexpr const char* kArchitectureKey = "architecture";
inline constexpr const char* kLayersKey = "layers";  ///< an architecture whose layers have no order

struct ModelMetadata {
  bool is_ours = false;  ///< written by this library; else a state dict of PyTorch's, which may have an architecture too
  std::string name = "Sequential";
  std::string architecture;
  std::string layers;
  std::optional<Scheme> scheme;
};

/// Throws Error (bad_file) for a version or scheme that is not known.
ModelMetadata read_metadata(const SafetensorsFile& file);

/// Format, version and scheme, and the layers under `layers_key`.
void write_metadata(const NamedLayers& layers, const char* layers_key, SafetensorsWriter& writer);

}  // namespace bytegate::detail
