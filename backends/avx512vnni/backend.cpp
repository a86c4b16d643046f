#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avx512vnni_kernels;
extern const Backend avx512vnni;
constinit const Backend avx512vnni = {
    .priority = 40,
    .name = "avx512vnni",
    .description = "AVX-512 VNNI, vpdpbusd on 512 bits",
    .required = cpu_feature::avx2 | cpu_feature::fma3 | cpu_feature::avx512f | cpu_feature::avx512bw |
                cpu_feature::avx512dq | cpu_feature::avx512vl | cpu_feature::avx512vnni,
    .unmet = nullptr,
    .kernels = &avx512vnni_kernels,
};
}  // namespace bytegate::backends
