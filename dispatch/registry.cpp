#include "dispatch/registry.h"

#include <cstdlib>
#include <mutex>

#include "dispatch/select.h"

namespace bytegate {
namespace {

/// The mutex is never held while a backend's unmet() runs: it is a user's function, and may well ask for the list
/// of backends.
struct Registry {
  std::mutex mutex;
  std::vector<const Backend*> backends;
  const Backend* chosen = nullptr;

  Registry() {
    for (const Backend* const* b = dispatch::kBuiltinBackends; *b; ++b) backends.push_back(*b);
  }

  std::vector<const Backend*> copy() {
    const std::lock_guard lock(mutex);
    return backends;
  }
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

std::vector<BackendInfo> list_backends() { return dispatch::rank_backends(cpu_features(), registry().copy()); }

const Backend& default_backend() {
  Registry& r = registry();
  for (;;) {
    std::vector<const Backend*> candidates;
    {
      const std::lock_guard lock(r.mutex);
      if (r.chosen) return *r.chosen;
      candidates = r.backends;
    }
    const char* wanted = std::getenv("BYTEGATE_BACKEND");
    const Backend& best = dispatch::select(cpu_features(), candidates, wanted ? wanted : "", "BYTEGATE_BACKEND");
    const std::lock_guard lock(r.mutex);
    if (r.chosen) return *r.chosen;
    if (r.backends.size() != candidates.size()) continue;  // one was registered meanwhile, and takes part in the choice
    r.chosen = &best;
    return best;
  }
}

const Backend& find_backend(std::string_view name) {
  if (name.empty())
    detail::throw_error(ErrorCode::unknown_backend,
                        {"find_backend: the name is empty. Accepted: auto or a name of list_backends()"});
  return dispatch::select(cpu_features(), registry().copy(), name, "find_backend");
}

const Backend& check_backend(const Backend* backend) {
  if (!backend) return default_backend();
  dispatch::validate_backend(backend, "the backend of a layer");
  dispatch::validate_support(*backend, cpu_features(), "the backend of a layer");
  return *backend;
}

void dispatch::add_backend(const Backend* backend, std::string_view origin) {
  validate_backend(backend, origin);
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  validate_unique(*backend, r.backends, origin);
  if (r.chosen) {
    detail::throw_error(ErrorCode::invalid_argument, {origin, ": '", backend->name, "' comes too late, the backend '",
                                                      r.chosen->name, "' is in use"});
  }
  r.backends.push_back(backend);
}

void register_backend(const Backend* backend) { dispatch::add_backend(backend, "register_backend"); }

}  // namespace bytegate
