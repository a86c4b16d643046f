// Layers found in a state dict by the names and shapes of its tensors.
#pragma once

#include <string>
#include <vector>

#include "io/layer_source.h"

namespace bytegate::detail {

struct Recognized {
  std::vector<LayerSpec>
      layers;  ///< in the order of their data, which says nothing of the order in which the model runs them
  std::vector<std::string>
      notes;  ///< what the tensors are that are almost a layer's or another library's layer's, a sentence each
};

/// Each layer has a claim at least, and is taken for its likeliest one.
Recognized recognize_layers(const LayerFile& file);

/// Finds the outline of a layer whose kind is stated, and its claims: that kind, and rarer ones that have the same
/// tensors.
void find_claims(const LayerFile& file, LayerSpec& spec);

}  // namespace bytegate::detail
