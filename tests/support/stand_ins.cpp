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
    kBackendAbi, sizeof(Backend), "avxvnni_trapped", "avxvnni, its products carried out by a signal handler, for tests", -100, kAvx2 | kFma3,
    [] { return static_cast<int>((cpu_features() & kAvxVnni) == 0 && trap_avxvnni()); }, &backends::avxvnni_kernels};
}
#endif

extern const Backend* const kStandIns[];
const Backend* const kStandIns[] = {
#ifdef __x86_64__
    &avxvnni_trapped,
#endif
    nullptr};

}  // namespace bytegate::testing
