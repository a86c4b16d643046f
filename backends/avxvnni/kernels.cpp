#include "backends/avxvnni/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

// What computes on floats is avx2's, which has the same vectors.
extern const Kernels avx2_float;
void avx2_sigmoid(const float* x, float* y, std::size_t n);
void avx2_tanh(const float* x, float* y, std::size_t n);

extern const BackendKernels avxvnni_kernels;
constinit const BackendKernels avxvnni_kernels = kernels::table<Isa>(&avx2_float, avx2_sigmoid, avx2_tanh);

}  // namespace bytegate::backends
