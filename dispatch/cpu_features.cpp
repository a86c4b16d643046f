// CPU features. The only caller of cpuinfo.
#include <bytegate/backends.h>
#include <cpuinfo.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__linux__)
#include <unistd.h>
#endif

namespace bytegate {
namespace {

CpuFeatures bit(bool present, CpuFeatures feature) { return present ? feature : 0; }

/// cpuinfo_initialize(), unless what it reads is hidden (containers, sandboxes): it would fail, and print that to
/// stderr first.
bool initialize_cpuinfo() {
#if defined(__linux__)
  for (const char* path : {
         "/proc/cpuinfo",
#if defined(__aarch64__)
             "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present",
#endif
       }) {
    if (access(path, R_OK) != 0) return false;
  }
#endif
  return cpuinfo_initialize();
}

#if defined(__x86_64__)
/// XCR0, the register state that the kernel saves; 0 if it does not say.
unsigned saved_state() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0, low = 0, high = 0;
  constexpr unsigned osxsave = 1u << 27;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & osxsave) == 0) return 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/// The same features from CPUID and XGETBV, which need no file.
CpuFeatures detect_by_cpuid() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned fma = 1u << 12, avx_state = 0x06, avx512_state = 0xe6;
  const unsigned saved = saved_state();
  if ((saved & avx_state) != avx_state || !__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
  const bool has_fma = (ecx & fma) != 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
  const CpuFeatures features = bit(has_fma, cpu_feature::fma3) | bit((ebx & (1u << 5)) != 0, cpu_feature::avx2);
  if ((saved & avx512_state) != avx512_state) return features;
  return features | bit((ebx & (1u << 16)) != 0, cpu_feature::avx512f) |
         bit((ebx & (1u << 30)) != 0, cpu_feature::avx512bw) | bit((ebx & (1u << 17)) != 0, cpu_feature::avx512dq) |
         bit((ebx & (1u << 31)) != 0, cpu_feature::avx512vl) | bit((ecx & (1u << 11)) != 0, cpu_feature::avx512vnni);
}

/// AVX-VNNI and AMX, which cpuinfo of 2022 does not know. `features` are those that it knows.
CpuFeatures detect_newer(CpuFeatures features) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned amx_state = 0x60000;
  if ((features & cpu_feature::avx2) == 0 || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
  CpuFeatures newer = 0;
  if ((saved_state() & amx_state) == amx_state) {
    newer = bit((edx & (1u << 24)) != 0, cpu_feature::amx_tile) | bit((edx & (1u << 25)) != 0, cpu_feature::amx_int8);
  }
  if (eax < 1 || !__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) return newer;
  return newer | bit((eax & (1u << 4)) != 0, cpu_feature::avxvnni);  // its registers are AVX's
}
#endif

CpuFeatures detect() {
#if defined(__aarch64__)
  CpuFeatures features = cpu_feature::neon;  // part of every Armv8-A
#else
  CpuFeatures features = 0;
#endif
  // Fails where /proc or /sys is hidden.
  const bool known = initialize_cpuinfo();
#if defined(__x86_64__)
  features = !known ? detect_by_cpuid()
                    : bit(cpuinfo_has_x86_avx2(), cpu_feature::avx2) | bit(cpuinfo_has_x86_fma3(), cpu_feature::fma3) |
                          bit(cpuinfo_has_x86_avx512f(), cpu_feature::avx512f) |
                          bit(cpuinfo_has_x86_avx512bw(), cpu_feature::avx512bw) |
                          bit(cpuinfo_has_x86_avx512dq(), cpu_feature::avx512dq) |
                          bit(cpuinfo_has_x86_avx512vl(), cpu_feature::avx512vl) |
                          bit(cpuinfo_has_x86_avx512vnni(), cpu_feature::avx512vnni);
  features |= detect_newer(features);
#elif defined(__aarch64__) && defined(__linux__)
  // The kernel's word is enough, and it needs neither /proc nor /sys; cpuinfo of 2022 does not know i8mm.
  constexpr unsigned long hwcap_asimddp = 1ul << 20, hwcap2_i8mm = 1ul << 13;
  features |=
      bit((getauxval(AT_HWCAP) & hwcap_asimddp) != 0 || (known && cpuinfo_has_arm_neon_dot()), cpu_feature::dotprod) |
      bit((getauxval(AT_HWCAP2) & hwcap2_i8mm) != 0, cpu_feature::i8mm);
#elif defined(__aarch64__)
  features |= bit(known && cpuinfo_has_arm_neon_dot(), cpu_feature::dotprod);
#endif
  return features;
}

}  // namespace

CpuFeatures cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace bytegate
