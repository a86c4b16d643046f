#include <bytegate/backend.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bytegate::backends {
namespace {

/// Linux lets a process use the tile registers when it has asked for them, once, for all its threads.
const char* request_permission() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long request_xcomp_perm = 0x1023, tile_data = 18;
  if (syscall(SYS_arch_prctl, request_xcomp_perm, tile_data) == 0) return nullptr;
  static char reason[160];
  const int error = errno;
  std::snprintf(reason, sizeof reason,
                "the kernel's permission to use tile registers, which it refuses (arch_prctl: errno %d, %s)", error,
                std::strerror(error));
  return reason;
#else
  return "Linux";
#endif
}

const char* unmet() {
  static const char* const reason = request_permission();
  return reason;
}

}  // namespace

extern const BackendKernels amx_kernels;
extern const Backend amx;
constinit const Backend amx = {
    .priority = 50,
    .name = "amx",
    .description = "AMX, tdpbusd on tiles; few rows by vpdpbusd on 512 bits",
    .required = cpu_feature::avx2 | cpu_feature::fma3 | cpu_feature::avx512f | cpu_feature::avx512bw |
                cpu_feature::avx512dq | cpu_feature::avx512vl | cpu_feature::avx512vnni | cpu_feature::amx_tile |
                cpu_feature::amx_int8,
    .unmet = unmet,
    .kernels = &amx_kernels,
};
}  // namespace bytegate::backends
