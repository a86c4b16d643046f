// The signal handler. Compiled without any ISA flags: it also runs, and answers no, on CPUs without AVX.
#include "tests/support/trap.h"

#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

#include "tests/support/trapped_instruction.h"

namespace bytegate::testing {
namespace {

struct sigaction previous;
std::atomic<bool> traps_avxvnni = false;
std::atomic<bool> traps_amx = false;
volatile sig_atomic_t trying = 0;
constexpr greg_t kTrialBytes = 5;  ///< of the instructions in try_vpdpbusd and try_sttilecfg

std::uint64_t general_register(const ucontext_t& context, unsigned n) {
  static constexpr std::array<int, 16> order = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<std::uint64_t>(context.uc_mcontext.gregs[order[n]]);
}

std::uint64_t displacement(const std::uint8_t* p, std::size_t size) {
  std::int32_t value = 0;
  if (size == 1) value = static_cast<std::int8_t>(*p);
  if (size == 4) std::memcpy(&value, p, sizeof value);
  return static_cast<std::uint64_t>(std::int64_t{value});
}

/// The opcode at rip if it is one of map 0F38 behind a VEX prefix of three bytes, else 0.
unsigned opcode_at(const ucontext_t& context) {
  const auto* code = reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  return code[0] == 0xc4 && (code[1] & 0x1f) == 2 ? code[3] : 0;
}

TrappedInstruction decode(const ucontext_t& context) {
  const auto* code = reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  const unsigned r = (code[1] & 0x80) ? 0 : 8, x = (code[1] & 0x40) ? 0 : 8, b = (code[1] & 0x20) ? 0 : 8;
  const unsigned mod = code[4] >> 6, low = code[4] & 7u;
  TrappedInstruction i{};
  i.opcode = code[3];
  i.pp = code[2] & 3u;
  i.l = (code[2] & 4) != 0;
  i.w = (code[2] & 0x80) != 0;
  i.vvvv = ~(code[2] >> 3u) & 15u;
  i.reg = (code[4] >> 3 & 7u) + r;
  i.rm = low + b;
  i.memory = mod != 3;
  i.end = code + 5;
  if (!i.memory) return i;

  std::size_t size = mod == 0 ? 0 : mod == 1 ? 1 : 4;
  bool relative = false;
  if (low == 4) {
    const std::uint8_t sib = *i.end++;
    const unsigned index = (sib >> 3 & 7u) + x, base = sib & 7u;
    i.sib = true;
    if (index != 4) i.index = general_register(context, index) << (sib >> 6);
    if (base == 5 && mod == 0) {
      size = 4;
    } else {
      i.origin = general_register(context, base + b);
    }
  } else if (low == 5 && mod == 0) {
    size = 4;
    relative = true;
  } else {
    i.origin = general_register(context, low + b);
  }
  i.origin += displacement(i.end, size);
  i.end += size;
  if (relative) i.origin += reinterpret_cast<std::uint64_t>(i.end);
  return i;
}

/// Carries out the instruction at the context's rip and steps over it, if it is one that is trapped.
Outcome execute(ucontext_t& context) {
  const unsigned opcode = opcode_at(context);
  Outcome outcome{Outcome::unknown};
  TrappedInstruction instruction;
  if (is_tile_instruction(opcode) && traps_amx) {
    instruction = decode(context);
    outcome = execute_tile_instruction(instruction);
  } else if (is_vector_instruction(opcode) && traps_avxvnni) {
    instruction = decode(context);
    outcome = execute_vector_instruction(instruction, context);
  }
  if (outcome.kind == Outcome::done)
    context.uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uint64_t>(instruction.end));
  return outcome;
}

void tell(const Outcome& outcome) {
  const char* texts[] = {"illegal use of tiles: ", outcome.name, ": ", outcome.why,
                         outcome.kind == Outcome::general_protection ? " (#GP)\n" : " (#UD)\n"};
  for (const char* text : texts) {
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
  }
}

/// Makes this thread receive SIGSEGV as the kernel sends it for #GP: as soon as the handler has returned, at the
/// instruction that it returns to.
void raise_general_protection(ucontext_t& context) {
  if (sigismember(&context.uc_sigmask, SIGSEGV)) {  // then the kernel lets no handler see it
    signal(SIGSEGV, SIG_DFL);
    sigdelset(&context.uc_sigmask, SIGSEGV);
  }
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGSEGV);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);  // until the handler returns, which brings the context's mask back
  siginfo_t info{};
  info.si_signo = SIGSEGV;
  info.si_code = SI_KERNEL;
  syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGSEGV, &info);
}

/// (qemu 7.2 enters handlers with a stack that is not aligned.)
__attribute__((force_align_arg_pointer)) void on_illegal_instruction(int, siginfo_t*, void* context) {
  ucontext_t& at = *static_cast<ucontext_t*>(context);
  Outcome outcome = execute(at);
  if (outcome.kind == Outcome::done) {  // those that follow at once cost no signal
    while (execute(at).kind == Outcome::done) {
    }
    return;
  }
  if (trying) {
    at.uc_mcontext.gregs[REG_RIP] += kTrialBytes;  // over it: nothing has changed, and that is the answer
    return;
  }
  if (outcome.kind != Outcome::unknown) tell(outcome);
  if (outcome.kind == Outcome::general_protection) {
    raise_general_protection(at);
  } else {
    sigaction(SIGILL, &previous, nullptr);  // and meet it again
  }
}

bool install() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_illegal_instruction;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;  // a handler of a fault on an operand may use the instructions too
    return sigaction(SIGILL, &action, &previous) == 0;
  }();
  return installed;
}

/// Large products, in registers whose numbers need extension bits.
bool try_vpdpbusd() {
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

/// The configuration of a thread that has none, which is zeros.
bool try_sttilecfg() {
  std::array<std::uint8_t, 64> stored;
  stored.fill(1);
  trying = 1;
  asm volatile(".byte 0xc4, 0xe2, 0x79, 0x49, 0x02"  // sttilecfg (%rdx)
               :
               : "d"(stored.data())
               : "memory");
  trying = 0;
  return stored == std::array<std::uint8_t, 64>{};
}

}  // namespace

bool trap_avxvnni() {
  static const bool works = [] {
    traps_avxvnni = true;
    return install() && try_vpdpbusd();
  }();
  return works;
}

bool trap_amx() {
  static const bool works = [] {
    if (has_amx()) return false;
    traps_amx = true;
    return install() && try_sttilecfg();
  }();
  return works;
}

bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned osxsave = 1u << 27, tile_and_int8 = 3u << 24, tile_state = 3u << 17;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & osxsave) == 0) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tile_and_int8) != tile_and_int8) return false;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (a & tile_state) == tile_state;
}

}  // namespace bytegate::testing
