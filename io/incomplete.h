// Modules whose tensors are almost those of a layer, or those of a layer this library does not have.
#pragma once

#include <bytegate/safetensors.h>

#include <map>
#include <string>

#include "io/tensor_names.h"

namespace bytegate::detail {

/// The tensors of one module by what follows the module's name and its dot: "weight",
/// "parametrizations.weight.original0".
using ModuleTensors = std::map<std::string, const StoredTensor*>;

/// One sentence that says what the module's tensors are and what to do about them; empty if they are nothing that is
/// known. `prefix`: the module's name and a dot, or empty.
std::string incomplete_note(const std::string& prefix, const ModuleTensors& tensors);

/// The same for the tensors whose names begin with `prefix`.
std::string incomplete_note(const TensorNames& names, const std::string& prefix);

}  // namespace bytegate::detail
