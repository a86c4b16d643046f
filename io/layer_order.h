// The order of layers that were found without one.
#pragma once

#include <string>
#include <vector>

#include "io/architecture.h"

namespace bytegate::detail {

/// Puts the layers into an order in which each takes what the one before it gives, and makes embeddings of the linears
/// without bias that are some: their order as it is if it will do, else the only one that will. Returns an empty text, or why
/// there is no such order; then they keep theirs.
std::string order_layers(std::vector<LayerSpec>& layers);

}  // namespace bytegate::detail
