// Compiled without any ISA flags: it also runs, and answers no, on CPUs without AVX.
#include "tests/support/avxvnni_trap.h"

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace bytegate::testing {
namespace {

struct sigaction previous;
volatile sig_atomic_t trying = 0;
constexpr greg_t kTrialBytes = 5;  ///< of the instruction in try_it

/// The vector registers of a signal frame, in the layout of XSAVE ("Intel 64 and IA-32 Architectures Software
/// Developer's Manual", volume 1, 13.4; where the kernel says so: arch/x86/include/uapi/asm/sigcontext.h).
class Registers {
 public:
  explicit Registers(const ucontext_t& context) : area_(reinterpret_cast<std::uint8_t*>(context.uc_mcontext.fpregs)) {}

  bool has_ymm() const {
    std::uint32_t magic = 0;
    if (area_) std::memcpy(&magic, area_ + 464, sizeof magic);
    return magic == 0x46505853u;
  }
  /// A clear bit of the header stands for upper halves of zeros, which then are not written out.
  void fill_upper_halves() {
    std::uint64_t components;
    std::memcpy(&components, area_ + kHeader, sizeof components);
    if ((components & kUpperHalves) != 0) return;
    components |= kUpperHalves;
    std::memcpy(area_ + kHeader, &components, sizeof components);
    std::memset(area_ + kUpper, 0, std::size_t{16} * 16);
  }
  void load(unsigned n, std::uint8_t* to) const {
    std::memcpy(to, area_ + kLower + std::size_t{16} * n, 16);
    std::memcpy(to + 16, area_ + kUpper + std::size_t{16} * n, 16);
  }
  void store(unsigned n, const std::uint8_t* from) {
    std::memcpy(area_ + kLower + std::size_t{16} * n, from, 16);
    std::memcpy(area_ + kUpper + std::size_t{16} * n, from + 16, 16);
  }

 private:
  static constexpr std::size_t kLower = 160, kHeader = 512, kUpper = 576;
  static constexpr std::uint64_t kUpperHalves = 4;
  std::uint8_t* area_;
};

std::uint64_t general_register(const ucontext_t& context, unsigned n) {
  static constexpr std::array<int, 16> order = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<std::uint64_t>(context.uc_mcontext.gregs[order[n]]);
}

std::int64_t displacement(const std::uint8_t* p, std::size_t size) {
  if (size == 1) return static_cast<std::int8_t>(*p);
  std::int32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Carries out the instruction at the context's rip and steps over it; false if it is another one. Encoding: the same
/// manual, volume 2, 2.3 (VEX: C4, RXBmmmmm, WvvvvLpp, opcode, ModRM, SIB, displacement).
bool execute(ucontext_t& context) {
  greg_t& rip = context.uc_mcontext.gregs[REG_RIP];
  const auto* code = reinterpret_cast<const std::uint8_t*>(rip);
  // 256.66.0F38.W0 50
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x87) != 0x05 || code[3] != 0x50) return false;
  Registers registers(context);
  if (!registers.has_ymm()) return false;
  registers.fill_upper_halves();

  const unsigned r = (code[1] & 0x80) ? 0 : 8, x = (code[1] & 0x40) ? 0 : 8, b = (code[1] & 0x20) ? 0 : 8;
  const unsigned mod = code[4] >> 6, low = code[4] & 7u, target = (code[4] >> 3 & 7u) + r,
                 first = ~(code[2] >> 3u) & 15u;
  const std::uint8_t* at = code + 5;
  std::array<std::uint8_t, 32> u8;
  std::array<std::uint8_t, 32> s8;
  std::array<std::int32_t, 8> sums;
  if (mod == 3) {
    registers.load(low + b, s8.data());
  } else {
    std::uint64_t address = 0;
    std::size_t size = mod == 0 ? 0 : mod == 1 ? 1 : 4;
    bool relative = false;
    if (low == 4) {
      const std::uint8_t sib = *at++;
      const unsigned index = (sib >> 3 & 7u) + x, base = (sib & 7u);
      if (index != 4) address += general_register(context, index) << (sib >> 6);
      if (base == 5 && mod == 0) {
        size = 4;
      } else {
        address += general_register(context, base + b);
      }
    } else if (low == 5 && mod == 0) {
      size = 4;
      relative = true;
    } else {
      address = general_register(context, low + b);
    }
    if (size > 0) address += static_cast<std::uint64_t>(displacement(at, size));
    at += size;
    if (relative) address += reinterpret_cast<std::uint64_t>(at);
    std::memcpy(s8.data(), reinterpret_cast<const void*>(address), s8.size());
  }
  registers.load(first, u8.data());
  registers.load(target, reinterpret_cast<std::uint8_t*>(sums.data()));
  for (std::size_t i = 0; i < s8.size(); ++i) sums[i / 4] += u8[i] * static_cast<std::int8_t>(s8[i]);
  registers.store(target, reinterpret_cast<const std::uint8_t*>(sums.data()));
  rip = static_cast<greg_t>(reinterpret_cast<std::uint64_t>(at));
  return true;
}

/// (qemu 7.2 enters handlers with a stack that is not aligned.)
__attribute__((force_align_arg_pointer)) void on_illegal_instruction(int, siginfo_t*, void* context) {
  ucontext_t& at = *static_cast<ucontext_t*>(context);
  if (execute(at)) {
    while (execute(at)) {  // those that follow, at the cost of one signal
    }
  } else if (trying) {
    at.uc_mcontext.gregs[REG_RIP] += kTrialBytes;  // over it: the sums stay as they were, and that is the answer
  } else {
    sigaction(SIGILL, &previous, nullptr);  // and meet it again
  }
}

/// Large products, in registers whose numbers need extension bits.
bool try_it() {
  alignas(32) std::uint8_t u8[32];
  alignas(32) std::int8_t s8[32];
  alignas(32) std::int32_t sums[8];
  for (std::size_t i = 0; i < 32; ++i) {
    u8[i] = static_cast<std::uint8_t>(200 + i);
    s8[i] = static_cast<std::int8_t>(i % 2 == 0 ? -128 : 100);
    sums[i / 4] = static_cast<std::int32_t>(i);
  }
  std::int32_t expected[8];
  std::memcpy(expected, sums, sizeof sums);
  for (std::size_t i = 0; i < 32; ++i) expected[i / 4] += u8[i] * s8[i];
  trying = 1;
  asm volatile(
      "vmovdqa (%0), %%ymm9\n\t"
      "vmovdqa (%1), %%ymm10\n\t"
      ".byte 0xc4, 0x62, 0x35, 0x50, 0x12\n\t"  // {vex} vpdpbusd (%rdx), %ymm9, %ymm10
      "vmovdqa %%ymm10, (%1)\n\t"
      "vzeroupper"
      :
      : "r"(u8), "r"(sums), "d"(s8)
      : "memory", "xmm9", "xmm10");
  trying = 0;
  return std::memcmp(sums, expected, sizeof sums) == 0;
}

}  // namespace

bool trap_avxvnni() {
  static const bool works = [] {
    struct sigaction action {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGILL, &action, &previous) == 0 && try_it();
  }();
  return works;
}

}  // namespace bytegate::testing
