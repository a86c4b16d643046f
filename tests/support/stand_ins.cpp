// The avxvnni kernels on CPUs with AVX2 alone. Their priority keeps them from ever being chosen by themselves.
#include <bytegate/backends.h>

#ifdef __x86_64__
#include "tests/support/avxvnni_trap.h"

namespace bytegate::backends {
extern const BackendKernels avxvnni_kernels;
}
#endif

namespace bytegate::testing {

#ifdef __x86_64__
namespace {
constinit const Backend avxvnni_trapped = {
    .priority = -100,
    .name = "avxvnni_trapped",
    .description = "avxvnni, its products carried out by a signal handler, for tests",
    .required = cpu_feature::avx2 | cpu_feature::fma3,
    .unmet =
        [] {
          return (cpu_features() & cpu_feature::avxvnni) == 0 && trap_avxvnni()
                     ? nullptr
                     : "a CPU without AVX-VNNI whose signal frames hold whole registers";
        },
    .kernels = &backends::avxvnni_kernels,
};
}
#endif

extern const Backend* const kStandIns[];
const Backend* const kStandIns[] = {
#ifdef __x86_64__
    &avxvnni_trapped,
#endif
    nullptr};

}  // namespace bytegate::testing
