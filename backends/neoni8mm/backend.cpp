#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neoni8mm_kernels;
extern const Backend neoni8mm;
constinit const Backend neoni8mm = {kBackendAbi, sizeof(Backend),          "neoni8mm", "Armv8.6-A int8 matrix multiply, smmla",
                                    30,          kNeon | kDotProd | kI8mm, nullptr,    &neoni8mm_kernels};
}  // namespace bytegate::backends
