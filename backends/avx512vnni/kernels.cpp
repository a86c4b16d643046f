#include "backends/avx512vnni/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels avx512vnni_kernels;
constinit const BackendKernels avx512vnni_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
