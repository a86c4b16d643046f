// The registry of backends and the choice among them.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/error.h>

#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// One row of the registry, and whether that backend can run here.
struct BackendInfo {
  const Backend* backend;
  bool supported;
  std::string
      missing;  ///< empty if supported, else the features it needs that were not found, such as "avx512vnni, avx512bw"
};

/// Every registered backend, best first. Calls their unmet(). Thread safe.
std::vector<BackendInfo> list_backends();

/// The features found on this CPU, those whose registers the operating system saves. Thread safe.
CpuFeatures cpu_features();
/// "avx2, fma3, ...": the names of the bits that are set.
std::string feature_names(CpuFeatures features);

/// The backend of layers that are made without one: the one that BYTEGATE_BACKEND names or, if that is unset, empty or
/// `auto`, the supported one with the highest priority. Chosen on the first call and kept. Throws Error
/// (unknown_backend, unsupported_backend) that lists every backend and its state. Thread safe.
const Backend& default_backend();

/// The backend of that name, or for "auto" the best supported one. Throws Error (unknown_backend, unsupported_backend)
/// as above. Thread safe.
const Backend& find_backend(std::string_view name);

/// default_backend() for null; else *backend, once it is known that its table keeps the rules of backend.h and that it
/// can run here. It need not be registered. Throws Error (invalid_argument, unsupported_backend). Every layer checks
/// its backend with it. Thread safe.
const Backend& check_backend(const Backend* backend);

/// Adds a backend from outside the library. `backend` must outlive every use. Throws Error (invalid_argument) for
/// another abi or size, geometry that backend.h does not allow, missing functions, a name that is taken or not
/// [a-z0-9_]+, or if a backend has already been chosen. Thread safe.
void register_backend(const Backend* backend);

/// Loads a shared library, adds the backend it holds as register_backend does, and returns it. The library must export
///   extern "C" const bytegate::Backend* bytegate_backend();
/// and needs no part of this one, only backend.h. It stays loaded until the process ends. Throws Error
/// (invalid_argument) for a path that is not absolute, and for what register_backend refuses; (io_error) if it cannot
/// be loaded or exports no such function. Thread safe. Example: load_backend("/opt/mine/libmine.so")
const Backend& load_backend(const std::string& path);

}  // namespace bytegate
#pragma GCC visibility pop
