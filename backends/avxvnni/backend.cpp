#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avxvnni_kernels;
extern const Backend avxvnni;
constinit const Backend avxvnni = {
    .priority = 30,
    .name = "avxvnni",
    .description = "AVX-VNNI, vpdpbusd on 256 bits",
    .required = cpu_feature::avx2 | cpu_feature::fma3 | cpu_feature::avxvnni,
    .unmet = nullptr,
    .kernels = &avxvnni_kernels,
};
}  // namespace bytegate::backends
