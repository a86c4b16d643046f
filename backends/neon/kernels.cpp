#include "backends/neon/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels neon_kernels;
constinit const BackendKernels neon_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
