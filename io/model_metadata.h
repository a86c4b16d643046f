// The metadata by which a file says that this library wrote it, and how it is to be read.
#pragma once

#include <bytegate/safetensors.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/architecture.h"

namespace bytegate::detail {

inline constexpr const char* kNameKey = "name";
inline constexpr const char* kArchitectureKey = "architecture";
inline constexpr const char* kLayersKey = "layers";    ///< an architecture whose layers have no order
inline constexpr const char* kGuessedKey = "guessed";  ///< "true": the architecture was guessed from sizes

struct ModelMetadata {
  bool is_ours =
      false;  ///< written by this library; else a state dict of PyTorch's, which may have an architecture too
  std::string name = "Sequential";
  std::string architecture;  ///< empty if there is none, or none of this library's form
  std::string layers;
  bool guessed = false;            ///< the architecture
  std::vector<std::string> notes;  ///< about what was ignored, a sentence each
  std::optional<Scheme> scheme;
};

/// Whether this library gives the metadata key a meaning of its own.
bool is_own_metadata_key(std::string_view key);

/// An `architecture` that is another program's (a model's name, say) is left out, with a note. Throws Error (bad_file)
/// for a version or scheme that is not known.
ModelMetadata read_metadata(const SafetensorsFile& file);

/// Format, version and scheme, and the layers under `layers_key`. Throws Error (invalid_argument) if the layers' text
/// would be longer than read_metadata's caller accepts.
void write_metadata(const NamedLayers& layers, const char* layers_key, SafetensorsWriter& writer);

}  // namespace bytegate::detail
