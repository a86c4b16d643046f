// What a layer is and what it costs, for `quantize`, `inspect` and `compare`.
#pragma once

#include <bytegate/model.h>

#include <cstddef>
#include <string>
#include <vector>

#include "console.h"

namespace bytegate::cli {

/// The scales of one quantized weight matrix.
struct ScaleRange {
  std::string tensor;  ///< "lstm.weight_ih_l0"
  float min = 0;
  float max = 0;
  std::size_t count = 0;  ///< 1: one scale for the whole matrix
};

struct LayerReport {
  std::string name;
  std::string kind;   ///< as in a model's architecture: linear, lstm, embedding, relu, flatten
  std::string sizes;  ///< everything two layers must share to be compared
  std::string text;   ///< as PyTorch prints it
  bool quantized = false;
  std::size_t parameters = 0;
  std::size_t bytes = 0;  ///< of weights, scales and biases
  std::vector<ScaleRange> scales;
};

LayerReport report(const NamedLayer& layer);
std::vector<LayerReport> report(const std::vector<NamedLayer>& layers);

Json to_json(const LayerReport& layer);

}  // namespace bytegate::cli
