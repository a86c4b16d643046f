// Backends in shared libraries.
#include <dlfcn.h>

#include "dispatch/registry.h"

namespace bytegate {
namespace {

constexpr const char* kEntry = "bytegate_backend";

std::string loader_message() {
  const char* text = dlerror();
  return text ? text : "the loader gives no reason";
}

}  // namespace

const Backend& load_backend(const std::string& path) {
  // A name without a slash would be searched for along LD_LIBRARY_PATH, a relative one from wherever the program was
  // started.
  if (path.empty() || path[0] != '/') {
    detail::throw_error(ErrorCode::invalid_argument, {"load_backend: '", path, "' is not an absolute path"});
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) detail::throw_error(ErrorCode::io_error, {"load_backend: ", loader_message()});
  const auto entry = reinterpret_cast<const Backend* (*)()>(dlsym(library, kEntry));
  if (!entry) {
    const std::string message = loader_message();
    dlclose(library);
    detail::throw_error(ErrorCode::io_error, {"load_backend: ", message});
  }
  const Backend* backend = entry();
  dispatch::add_backend(backend, "load_backend: " + path);
  return *backend;
}

}  // namespace bytegate
