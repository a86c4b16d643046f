#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neon_kernels;
extern const Backend neon;
constinit const Backend neon = {kBackendAbi, sizeof(Backend), "neon",  "Armv8-A Advanced SIMD, smull and sadalp",
                                10,          kNeon,           nullptr, &neon_kernels};
}  // namespace bytegate::backends
