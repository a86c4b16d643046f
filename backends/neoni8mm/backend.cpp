#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels neoni8mm_kernels;
extern const Backend neoni8mm;
constinit const Backend neoni8mm = {
    .priority = 30,
    .name = "neoni8mm",
    .description = "Armv8.6-A int8 matrix multiply, smmla",
    .required = cpu_feature::neon | cpu_feature::dotprod | cpu_feature::i8mm,
    .unmet = nullptr,
    .kernels = &neoni8mm_kernels,
};
}  // namespace bytegate::backends
