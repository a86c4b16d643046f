// The avxvnni kernels in the EVEX encoding of the same instructions, for CPUs with AVX-512 VNNI and without AVX-VNNI.
// Its priority keeps it from ever being chosen by itself.
#include <bytegate/backend.h>

namespace bytegate {

#ifdef BYTEGATE_AVXVNNI_EVEX
namespace backends {
extern const BackendKernels avxvnni_evex_kernels;
}

namespace {
constinit const Backend avxvnni_evex = {kBackendAbi,    sizeof(Backend),
                                        "avxvnni_evex", "avxvnni in EVEX encoding, for tests",
                                        -100,           kAvx2 | kFma3 | kAvx512Vl | kAvx512Vnni,
                                        nullptr,        &backends::avxvnni_evex_kernels};
}
#endif

namespace testing {
extern const Backend* const kStandIns[];
const Backend* const kStandIns[] = {
#ifdef BYTEGATE_AVXVNNI_EVEX
    &avxvnni_evex,
#endif
    nullptr};
}  // namespace testing
}  // namespace bytegate
