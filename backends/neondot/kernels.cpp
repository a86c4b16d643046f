#include "backends/neondot/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels neondot_kernels;
constinit const BackendKernels neondot_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
