// The registry of backends and the choice among them.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/error.h>

#include <string>
#include <string_view>
#include <vector>

namespace bytegate {

/// One row of the registry and what this CPU says to it.
struct BackendInfo {
  const Backend* backend;
  bool supported;
  std::string missing;  ///< empty if supported, else what the CPU lacks, such as "avx512vnni, avx512bw"
};

/// Every registered backend, best first. Thread safe.
std::vector<BackendInfo> list_backends();

/// The features found on this CPU, those whose registers the operating system saves. Thread safe.
CpuFeatures cpu_features();
/// "avx2, fma3, ...": the names of the bits that are set.
std::string feature_names(CpuFeatures features);

/// The backend used by layers that are not given one: what BYTEGATE_BACKEND names; unset, empty or `auto`: the supported one
/// with the highest priority. Chosen on the first call and kept. Throws Error (unknown_backend, unsupported_backend) naming
/// every backend and its state. Thread safe.
const Backend& default_backend();

/// The backend of that name, checked for support as above. Thread safe.
const Backend& find_backend(std::string_view name);

/// Adds a backend from outside the library. `backend` must outlive every use. Throws Error (invalid_argument) for a wrong abi
/// or size, bad geometry, missing functions, a name that is taken or not [a-z0-9_]+, or if a backend has already been chosen.
/// Thread safe.
void register_backend(const Backend* backend);

}  // namespace bytegate
