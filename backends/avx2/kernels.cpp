#include "backends/avx2/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

// What computes on floats, for avxvnni too, whose vectors are the same.
extern const Kernels avx2_float;
constinit const Kernels avx2_float = kernels::float_kernels<Isa>();
void avx2_sigmoid(const float* x, float* y, std::size_t n);
void avx2_sigmoid(const float* x, float* y, std::size_t n) { kernels::map_sigmoid<Isa>(x, y, n); }
void avx2_tanh(const float* x, float* y, std::size_t n);
void avx2_tanh(const float* x, float* y, std::size_t n) { kernels::map_tanh<Isa>(x, y, n); }

extern const BackendKernels avx2_kernels;
constinit const BackendKernels avx2_kernels = kernels::table<Isa>(&avx2_float, avx2_sigmoid, avx2_tanh);

}  // namespace bytegate::backends
