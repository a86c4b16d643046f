#include "backends/neoni8mm/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels neoni8mm_kernels;
constinit const BackendKernels neoni8mm_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
