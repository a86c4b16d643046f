// What a file's layers are and, for a model, in which order they run.
#pragma once

#include <bytegate/model_file.h>

#include <string>
#include <vector>

#include "io/layer_source.h"
#include "io/model_metadata.h"
#include "io/tensor_names.h"

namespace bytegate::detail {

struct Plan {
  std::vector<LayerSpec> layers;  ///< prefixes are those of the file's tensors
  std::vector<std::string> notes;
  bool guessed = false;
};

/// The layers of a whole model, in order. Throws Error (bad_file).
Plan model_plan(const LayerFile& file, const ModelMetadata& metadata, const LoadOptions& options);

/// The layers that are known, in no order.
Plan state_dict_plan(const LayerFile& file, const ModelMetadata& metadata, const LoadOptions& options);

/// names.prefix() if a layer is named without it.
std::string stripped_prefix(const Plan& plan, const TensorNames& names);

}  // namespace bytegate::detail
