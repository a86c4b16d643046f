#include "backends/scalar/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels scalar_kernels;
constinit const BackendKernels scalar_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
