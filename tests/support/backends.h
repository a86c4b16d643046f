// The backends under test: those of the library, and stand-ins for backends that few CPUs can run.
#pragma once

#include <bytegate/backends.h>

#include <string>
#include <vector>

namespace bytegate::testing {

/// Adds the stand-ins to the registry, once. Before anything chooses a backend; the functions below do it themselves.
void register_stand_ins();

/// The names of all registered backends, supported or not, best first.
std::vector<std::string> backend_names();

/// Those this CPU can run, best first; without stand-ins if none has been registered yet.
std::vector<const Backend*> supported_backends(bool stand_ins = true);

/// The plain one, which every CPU runs.
const Backend& scalar_backend();

/// Whether BYTEGATE_REQUIRED_BACKENDS (names with commas between) asks for a failure where a test would skip this
/// backend.
bool is_required(const std::string& name);

/// How much to test: 0 small (BYTEGATE_TEST_SIZE=small, for emulated CPUs), 1 default, 2 everything
/// (BYTEGATE_TEST_SIZE=full).
int test_size();

}  // namespace bytegate::testing
