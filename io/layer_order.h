// The order of layers that were found without one, and of which kind they are.
#pragma once

#include <string>
#include <vector>

#include "io/architecture.h"

namespace bytegate::detail {

/// Puts the layers into the one order in which each takes as many features as the one before it gives, and takes each
/// for the claim that fits there. The order they come in does not matter. Returns an empty text, or why there is no
/// such order or more than one; then they stay as they are.
std::string order_by_sizes(std::vector<LayerSpec>& layers);

/// Takes each layer for the claim that the sizes of all layers and the names make likely. The order stays.
void choose_claims(std::vector<LayerSpec>& layers);

}  // namespace bytegate::detail
