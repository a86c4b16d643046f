// The inputs that models are tried on.
#pragma once

#include <bytegate/model.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bytegate::cli {

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
ModelInput random_input(const std::vector<NamedLayer>& layers, const RandomInput& options);

}  // namespace bytegate::cli
