#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avx512bw_kernels;
extern const Backend avx512bw;
// Below avxvnni: its 256-bit vpdpbusd has as many products in one instruction, which need no widening and no additions.
constinit const Backend avx512bw = {
    .priority = 25,
    .name = "avx512bw",
    .description = "AVX-512 without VNNI, widened to 16 bits",
    .required = cpu_feature::avx2 | cpu_feature::fma3 | cpu_feature::avx512f | cpu_feature::avx512bw |
                cpu_feature::avx512dq | cpu_feature::avx512vl,
    .unmet = nullptr,
    .kernels = &avx512bw_kernels,
};
}  // namespace bytegate::backends
