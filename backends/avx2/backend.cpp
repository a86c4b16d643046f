#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels avx2_kernels;
extern const Backend avx2;
constinit const Backend avx2 = {kBackendAbi, sizeof(Backend), "avx2", "AVX2 and FMA, widened to 16 bits", 20, kAvx2 | kFma3, nullptr, &avx2_kernels};
}  // namespace bytegate::backends
