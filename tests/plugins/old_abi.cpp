// A plugin that was built with another version of backend.h.
#include <bytegate/backend.h>

namespace {
const bytegate::Backend backend = {.abi = bytegate::kBackendAbi - 1,
                                   .priority = 0,
                                   .name = "old",
                                   .description = "",
                                   .required = 0,
                                   .unmet = nullptr,
                                   .kernels = nullptr};
}

extern "C" __attribute__((visibility("default"))) const bytegate::Backend* bytegate_backend();

const bytegate::Backend* bytegate_backend() { return &backend; }
