#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neondot_kernels;
extern const Backend neondot;
constinit const Backend neondot = {kBackendAbi, sizeof(Backend),  "neondot", "Armv8.2-A dot product, sdot",
                                   20,          kNeon | kDotProd, nullptr,   &neondot_kernels};
}  // namespace bytegate::backends
