#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avx2_kernels;
extern const Backend avx2;
constinit const Backend avx2 = {
    .priority = 20,
    .name = "avx2",
    .description = "AVX2 and FMA, widened to 16 bits",
    .required = cpu_feature::avx2 | cpu_feature::fma3,
    .unmet = nullptr,
    .kernels = &avx2_kernels,
};
}  // namespace bytegate::backends
