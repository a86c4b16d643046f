#include "backends/avx2/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

extern const BackendKernels avx2_kernels;
constinit const BackendKernels avx2_kernels = kernels::table<Isa>();

// For avxvnni, whose vectors are the same.
extern const Kernels avx2_float;
constinit const Kernels avx2_float = kernels::float_kernels<Isa>();
void avx2_sigmoid(const float* x, float* y, std::size_t n);
void avx2_sigmoid(const float* x, float* y, std::size_t n) { kernels::map_sigmoid<Isa>(x, y, n); }
void avx2_tanh(const float* x, float* y, std::size_t n);
void avx2_tanh(const float* x, float* y, std::size_t n) { kernels::map_tanh<Isa>(x, y, n); }

}  // namespace bytegate::backends
