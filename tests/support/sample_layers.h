// Layers of every kind, for the tests that hold for all of them.
#pragma once

#include <bytegate/model.h>

#include <string>
#include <vector>

#include "tests/support/random.h"

namespace bytegate::testing {

/// A float layer and the shape of an input, of which dimension 0 is the batch; so it is in the output. Items of a batch
/// do not depend on each other.
struct SampleLayer {
  std::string name;  ///< the kind, and what is special about it
  LayerPtr layer;
  Shape input;
  bool large = false;  ///< worth several threads
};
std::vector<SampleLayer> sample_layers(const Backend& backend);

/// The layer itself, and what it becomes in each scheme if it can be quantized.
struct NamedForm {
  std::string name;
  LayerPtr layer;
  bool items_apart = true;  ///< no scale spans the batch
};
std::vector<NamedForm> forms_of(const SampleLayer& sample);

/// Random floats, or indices as floats for a layer that takes them.
Tensor sample_input(const Layer& layer, const Shape& shape, std::uint64_t seed);
/// Runs the layer, whichever kind of input it takes.
Tensor run_layer(const Layer& layer, const Tensor& x, Workspace& workspace);
Tensor run_layer(const Layer& layer, const Tensor& x);

/// Item `b` of the batch alone.
Tensor batch_item(const Tensor& tensor, std::int64_t b);

}  // namespace bytegate::testing
