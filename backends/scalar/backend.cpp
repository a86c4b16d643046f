#include <bytegate/backend.h>

namespace bytegate::backends {
extern const BackendKernels scalar_kernels;
extern const Backend scalar;
constinit const Backend scalar = {
    .priority = 0,
    .name = "scalar",
    .description = "plain C++",
    .required = 0,
    .unmet = nullptr,
    .kernels = &scalar_kernels,
};
}  // namespace bytegate::backends
