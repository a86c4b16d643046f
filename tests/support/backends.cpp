#include "tests/support/backends.h"

#include <cstdlib>
#include <mutex>
#include <sstream>
#include <string_view>

#include "tests/support/stand_ins.h"

namespace bytegate::testing {

void register_stand_ins() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (const Backend& backend : stand_ins()) register_backend(&backend);
  });
}

std::vector<std::string> backend_names() {
  register_stand_ins();
  std::vector<std::string> names;
  for (const BackendInfo& info : list_backends()) names.emplace_back(info.backend->name);
  return names;
}

std::vector<const Backend*> supported_backends(bool stand_ins) {
  if (stand_ins) register_stand_ins();
  std::vector<const Backend*> backends;
  for (const BackendInfo& info : list_backends()) {
    if (info.supported) backends.push_back(info.backend);
  }
  return backends;
}

const Backend& scalar_backend() {
  register_stand_ins();
  return find_backend("scalar");
}

bool is_required(const std::string& name) {
  const char* value = std::getenv("BYTEGATE_REQUIRED_BACKENDS");
  std::istringstream names(value ? value : "");
  for (std::string required; std::getline(names, required, ',');) {
    if (required == name) return true;
  }
  return false;
}

int test_size() {
  const char* value = std::getenv("BYTEGATE_TEST_SIZE");
  const std::string_view size = value ? value : "";
  return size == "small" ? 0 : size == "full" ? 2 : 1;
}

}  // namespace bytegate::testing
