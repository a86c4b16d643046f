#include "dispatch/registry.h"

#include <cstdlib>
#include <mutex>

#include "dispatch/select.h"

namespace bytegate {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<const Backend*> backends;
  const Backend* chosen = nullptr;

  Registry() {
    for (const Backend* const* b = dispatch::kBuiltinBackends; *b; ++b) backends.push_back(*b);
  }
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

std::vector<BackendInfo> list_backends() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  return dispatch::assess(cpu_features(), r.backends);
}

const Backend& default_backend() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (!r.chosen) {
    const char* wanted = std::getenv("BYTEGATE_BACKEND");
    r.chosen = &dispatch::select(dispatch::assess(cpu_features(), r.backends), wanted ? wanted : "", "BYTEGATE_BACKEND");
  }
  return *r.chosen;
}

const Backend& find_backend(std::string_view name) { return dispatch::select(list_backends(), name, "find_backend"); }

void register_backend(const Backend* backend) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  dispatch::check(backend, r.backends);
  if (r.chosen) {
    throw Error(ErrorCode::invalid_argument,
                "register_backend: '" + std::string(backend->name) + "' comes too late, the backend '" + r.chosen->name + "' is in use");
  }
  r.backends.push_back(backend);
}

}  // namespace bytegate
