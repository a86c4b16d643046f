#include "backends/avx512bw/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels avx512bw_kernels;
constinit const BackendKernels avx512bw_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
