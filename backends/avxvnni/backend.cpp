#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avxvnni_kernels;
extern const Backend avxvnni;
constinit const Backend avxvnni = {kBackendAbi, sizeof(Backend), "avxvnni", "AVX-VNNI, vpdpbusd on 256 bits", 30, kAvx2 | kFma3 | kAvxVnni, nullptr, &avxvnni_kernels};
}  // namespace bytegate::backends
