// Layers found in a state dict by the names and shapes of its tensors.
#pragma once

#include <bytegate/safetensors.h>

#include <string>
#include <vector>

#include "io/architecture.h"

namespace bytegate::detail {

struct Recognized {
  std::vector<LayerSpec> layers;   ///< in order of use if there is one, else of their data
  std::vector<std::string> notes;  ///< why tensors that look like a layer's are none, a sentence each
  std::string why_no_order;        ///< empty: each layer takes what the one before it gives
};

Recognized recognize_layers(const SafetensorsFile& file);

}  // namespace bytegate::detail
