#include "backends/avxvnni/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {
extern const BackendKernels avxvnni_kernels;
constinit const BackendKernels avxvnni_kernels = kernels::table<Isa>();
}  // namespace bytegate::backends
