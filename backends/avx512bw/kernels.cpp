#include "backends/avx512bw/isa.h"
#include "kernels/table.h"

namespace bytegate::backends {

// What computes on floats, for avx512vnni and amx too, whose vectors are the same.
extern const Kernels avx512bw_float;
constinit const Kernels avx512bw_float = kernels::float_kernels<Isa>();
void avx512bw_sigmoid(const float* x, float* y, std::size_t n);
void avx512bw_sigmoid(const float* x, float* y, std::size_t n) { kernels::map_sigmoid<Isa>(x, y, n); }
void avx512bw_tanh(const float* x, float* y, std::size_t n);
void avx512bw_tanh(const float* x, float* y, std::size_t n) { kernels::map_tanh<Isa>(x, y, n); }

extern const BackendKernels avx512bw_kernels;
constinit const BackendKernels avx512bw_kernels = kernels::table<Isa>(&avx512bw_float, avx512bw_sigmoid, avx512bw_tanh);

}  // namespace bytegate::backends
