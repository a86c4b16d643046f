#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neon_kernels;
extern const Backend neon;
constinit const Backend neon = {
    .priority = 10,
    .name = "neon",
    .description = "Armv8-A Advanced SIMD, smull and sadalp",
    .required = cpu_feature::neon,
    .unmet = nullptr,
    .kernels = &neon_kernels,
};
}  // namespace bytegate::backends
