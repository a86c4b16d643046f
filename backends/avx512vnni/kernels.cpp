#include "backends/avx512vnni/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

extern const BackendKernels avx512vnni_kernels;
constinit const BackendKernels avx512vnni_kernels = kernels::table<Isa>();

// For amx, which has no float kernels of its own.
extern const Kernels avx512vnni_float;
constinit const Kernels avx512vnni_float = kernels::float_kernels<Isa>();

}  // namespace bytegate::backends
