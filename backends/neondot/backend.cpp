#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neondot_kernels;
extern const Backend neondot;
constinit const Backend neondot = {
    .priority = 20,
    .name = "neondot",
    .description = "Armv8.2-A dot product, sdot",
    .required = cpu_feature::neon | cpu_feature::dotprod,
    .unmet = nullptr,
    .kernels = &neondot_kernels,
};
}  // namespace bytegate::backends
