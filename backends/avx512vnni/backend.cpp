#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avx512vnni_kernels;
extern const Backend avx512vnni;
constinit const Backend avx512vnni = {kBackendAbi, sizeof(Backend), "avx512vnni", "AVX-512 VNNI, vpdpbusd on 512 bits", 40, kAvx2 | kFma3 | kAvx512F | kAvx512Bw | kAvx512Dq | kAvx512Vl | kAvx512Vnni, nullptr, &avx512vnni_kernels};
}  // namespace bytegate::backends
