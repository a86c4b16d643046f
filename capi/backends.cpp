// Backends and the version.
#include <bytegate/backends.h>
#include <bytegate/version.h>

#include <vector>

#include "capi/call.h"

namespace bytegate::capi {
namespace {

/// Null if BYTEGATE_BACKEND names one that cannot be had.
const Backend* selected_backend() {
  try {
    return &default_backend();
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace

const Backend* backend_of(const char* name) { return name ? &find_backend(name) : nullptr; }

}  // namespace bytegate::capi

using namespace bytegate;
using namespace bytegate::capi;

extern "C" {

BYTEGATE_FUNCTION const char* bytegate_version(void) { return version(); }

BYTEGATE_FUNCTION bytegate_status bytegate_backend_count(size_t* count) try {
  need(count, "count");
  *count = list_backends().size();
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_backend_get(size_t index, bytegate_backend_info* info) try {
  need(info, "info");
  const std::vector<BackendInfo> all = list_backends();
  if (index >= all.size())
    fail(BYTEGATE_INVALID_ARGUMENT, {"there are ", all.size(), " backends, whose indices begin at 0"});
  const BackendInfo& row = all[index];
  bytegate_backend_info out{};
  out.name = row.backend->name;
  out.description = row.backend->description;
  out.supported = row.supported;
  out.selected = row.backend == selected_backend();
  out.priority = row.backend->priority;
  row.missing.copy(out.unmet, sizeof out.unmet - 1);
  write_struct(&out, sizeof out, info);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_default_backend(const char** name) try {
  need(name, "name");
  *name = default_backend().name;
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_load_backend(const char* path, const char** name) try {
  need(path, "path");
  const Backend& backend = load_backend(path);
  if (name) *name = backend.name;
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}
}
