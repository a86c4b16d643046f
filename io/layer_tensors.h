// Layers to and from the tensors of a file.
#pragma once

#include <bytegate/safetensors.h>

#include <set>
#include <string>
#include <vector>

#include "io/layer_source.h"

namespace bytegate::detail {

/// Makes layers from a file's tensors.
class LayerReader {
 public:
  explicit LayerReader(const LayerFile& file) : file_(file) {}

  /// A layer for each spec, made on `num_threads` threads. Throws Error (bad_file; invalid_argument for a number of
  /// threads that is not 1 to 256).
  std::vector<NamedLayer> read(const std::vector<LayerSpec>& specs, int num_threads);

  /// Stored tensors that no layer read so far has used under any of their names.
  std::vector<std::string> unused() const;

 private:
  LayerFile file_;
  std::set<std::string> used_;
};

/// Adds the layer's tensors, their names beginning with `prefix`.
void write_layer(const std::string& prefix, const Layer& layer, SafetensorsWriter& writer);

}  // namespace bytegate::detail
