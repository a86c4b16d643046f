#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels scalar_kernels;
extern const Backend scalar;
constinit const Backend scalar = {kBackendAbi, sizeof(Backend), "scalar", "plain C++", 0, 0, nullptr, &scalar_kernels};
}  // namespace bytegate::backends
