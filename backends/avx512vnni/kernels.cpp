#include "backends/avx512vnni/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

// What computes on floats is avx512bw's, which has the same vectors.
extern const Kernels avx512bw_float;
void avx512bw_sigmoid(const float* x, float* y, std::size_t n);
void avx512bw_tanh(const float* x, float* y, std::size_t n);

extern const BackendKernels avx512vnni_kernels;
constinit const BackendKernels avx512vnni_kernels =
    kernels::table<Isa>(&avx512bw_float, avx512bw_sigmoid, avx512bw_tanh);

}  // namespace bytegate::backends
