// The kernels of backends on CPUs that lack an instruction of theirs, which a signal handler carries out (trap.h).
#pragma once

#include <bytegate/backends.h>

#include <vector>

namespace bytegate::testing {

/// A backend of the library and the name of the one that runs its kernels in tests.
struct StandIn {
  const char* name;
  const Backend* original;
};

/// From the lines `stand_in` of backends/*/backend.cmake; the last one's name is null.
extern const StandIn kStandIns[];

/// A backend for each of kStandIns, with the kernels of the original. It requires what the original does, but for the
/// features that the handler carries out, and it is supported where the CPU has none of those. Its priority keeps it
/// from ever being chosen by itself.
const std::vector<Backend>& stand_ins();

}  // namespace bytegate::testing
