#include "backends/avx2/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels avx2_kernels;
constinit const BackendKernels avx2_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
