// What the tile instructions refuse, with which signal: the same on hardware and under the trap that stands in for it.
// tile_trap_test.cpp has what they do.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "tests/support/child.h"
#include "tests/support/guarded.h"
#include "tests/support/tile_test.h"

namespace bytegate::testing {
namespace {

struct sigaction handler(void (*function)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = function;
  action.sa_flags = SA_SIGINFO;
  return action;
}

// The first test of this program: the handler of SIGILL must stand before the trap is set.
TEST(TileHandlerTest, ARefusedInstructionReachesTheHandlerThatStoodBefore) {
  static bool done = false;
  if (std::exchange(done, true)) GTEST_SKIP() << "the trap is set by now";
  const Child child = in_child([](std::string&) {
    const struct sigaction action = handler([](int signal, siginfo_t*, void*) { _exit(signal == SIGILL ? 77 : 1); });
    sigaction(SIGILL, &action, nullptr);
    if (!enable_tiles()) return 78;
    tilerelease();
    tilezero(0);
    return 1;
  });
  if (child.exit_code == 78) GTEST_SKIP() << "no tiles";
  EXPECT_EQ(child.exit_code, 77);
}

class TileFaultsTest : public TileTest {
 protected:
  /// Tile 0 can hold the sums of tiles 1 and 2. Each of the others fits to these in all but one respect.
  static TileConfiguration configuration() {
    TileConfiguration c;
    c.set(0, 5, 24);
    c.set(1, 5, 32);
    c.set(2, 8, 24);
    c.set(4, 5, 22);
    c.set(5, 6, 24);
    c.set(6, 5, 28);
    c.set(7, 9, 24);
    return c;
  }

  /// Expects that `run` ends a process by the signal, with a line on stderr that says `why` if a trap refused it.
  template <class Run>
  void expect_refused(const char* why, int signal_number, const Run& run) {
    const int messages = memfd_create("stderr", 0);
    const Child child = in_child([&](std::string&) {
      dup2(messages, STDERR_FILENO);
      signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would exit
      ldtilecfg(configuration());
      run();
      return 0;
    });
    char text[256] = {};
    EXPECT_GE(pread(messages, text, sizeof text - 1, 0), 0);
    close(messages);
    EXPECT_EQ(child.exit_code, 128 + signal_number) << why;
    if (on_hardware()) return;
    const char* exception = signal_number == SIGILL ? " (#UD)\n" : " (#GP)\n";
    EXPECT_NE(std::string(text).find(why + std::string(exception)), std::string::npos) << why << ": " << text;
  }
};

TEST_F(TileFaultsTest, Configurations) {
  const auto refused = [&](const char* why, const auto& change) {
    TileConfiguration c = configuration();
    change(c);
    expect_refused(why, SIGSEGV, [&] { ldtilecfg(c); });
  };
  refused("the palette is neither 0 nor 1", [](auto& c) { c.palette = 3; });
  refused("a reserved byte, 2 to 15, is not zero", [](auto& c) { c.reserved[0] = 1; });
  refused("a reserved byte, 2 to 15, is not zero", [](auto& c) { c.reserved[13] = 1; });
  refused("rows or colsb of a tile above 7 is not zero", [](auto& c) { c.colsb[8] = 4; });
  refused("rows or colsb of a tile above 7 is not zero", [](auto& c) { c.colsb[15] = 256; });
  refused("rows or colsb of a tile above 7 is not zero", [](auto& c) { c.rows[8] = 1; });
  refused("rows or colsb of a tile above 7 is not zero", [](auto& c) { c.set(15, 16, 64); });
  refused("a tile has more than 16 rows", [](auto& c) { c.rows[7] = 17; });
  refused("a tile has more than 64 bytes a row", [](auto& c) { c.colsb[0] = 65; });
  refused("a tile has more than 64 bytes a row", [](auto& c) { c.colsb[7] = 256 + 24; });
  refused("of a tile's rows and colsb one is zero and the other is not", [](auto& c) { c.rows[0] = 0; });
  refused("of a tile's rows and colsb one is zero and the other is not", [](auto& c) { c.colsb[7] = 0; });
}

TEST_F(TileFaultsTest, TilesThatAreNotConfigured) {
  static std::uint8_t memory[1024];
  const auto refused = [&](const char* why, const auto& before, unsigned tile) {
    const auto check = [&](const auto& use) {
      expect_refused(why, SIGILL, [&] {
        before();
        use();
      });
    };
    check([&] { tileloadd(tile, memory, 64); });
    check([&] { tileloaddt1(tile, memory, 64); });
    check([&] { tilestored(memory, 64, tile); });
    check([&] { tilezero(tile); });
    check([&] { tdpbusd(tile); });
    check([&] { tdpbssd((tile + 5) % 8); });
  };
  refused(
      "no tiles are configured", [] { tilerelease(); }, 0);
  refused(
      "a tile without rows is used",
      [] {
        TileConfiguration c;
        c.set(0, 16, 64);
        c.set(6, 16, 64);
        ldtilecfg(c);
      },
      3);
}

TEST_F(TileFaultsTest, RowsThatCannotBeMoved) {
  static std::uint8_t memory[1024];
  const char* why = "colsb is not a multiple of 4";
  expect_refused(why, SIGILL, [] { tileloadd(4, memory, 64); });
  expect_refused(why, SIGILL, [] { tilestored(memory, 64, 4); });
  why = "start_row is not a row of the tile";
  const auto start_at_5 = [] {
    TileConfiguration c = configuration();
    c.start_row = 5;
    ldtilecfg(c);
  };
  expect_refused(why, SIGILL, [&] { start_at_5(), tileloadd(0, memory, 64); });
  expect_refused(why, SIGILL, [&] { start_at_5(), tilestored(memory, 64, 0); });
}

#define BYTEGATE_RUN(assembly) [] { asm volatile(assembly : : "a"(kZeros), "d"(kZeros) : "memory"); }
const TileConfiguration kZeros[16] = {};

TEST_F(TileFaultsTest, Factors) {
  const char* why = "two operands are the same tile";
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x71, 0x5e, 0xc1"));  // tdpbusd tmm0, tmm1, tmm1
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x69, 0x5e, 0xc0"));  // tdpbusd tmm0, tmm0, tmm2
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x79, 0x5e, 0xc1"));  // tdpbusd tmm0, tmm1, tmm0
  expect_refused("colsb is not a multiple of 4", SIGILL, BYTEGATE_RUN("tdpbusd %%tmm2, %%tmm1, %%tmm4"));
  expect_refused("colsb is not a multiple of 4", SIGILL, BYTEGATE_RUN("tdpbusd %%tmm2, %%tmm4, %%tmm0"));
  expect_refused("colsb is not a multiple of 4", SIGILL, BYTEGATE_RUN("tdpbusd %%tmm4, %%tmm1, %%tmm0"));
  why = "the sums and the first factor differ in rows";
  expect_refused(why, SIGILL, BYTEGATE_RUN("tdpbusd %%tmm2, %%tmm1, %%tmm5"));
  why = "the sums and the second factor differ in colsb";
  expect_refused(why, SIGILL, BYTEGATE_RUN("tdpbusd %%tmm2, %%tmm1, %%tmm6"));
  why = "the first factor's colsb is not 4 times the second's rows";
  expect_refused(why, SIGILL, BYTEGATE_RUN("tdpbusd %%tmm7, %%tmm1, %%tmm0"));
  expect_refused(why, SIGILL, BYTEGATE_RUN("tdpbuud %%tmm7, %%tmm1, %%tmm0"));
}

// In bytes, since no assembler writes these: C4, RXBmmmmm, WvvvvLpp, opcode, ModRM.
TEST_F(TileFaultsTest, Encodings) {
  const char* why = "VEX.L is set";  // tilezero tmm0 is c4 e2 7b 49 c0
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x7f, 0x49, 0xc0"));
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x6d, 0x5e, 0xc1"));  // tdpbusd
  why = "VEX.W is set";
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0xfb, 0x49, 0xc0"));
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0xe9, 0x5e, 0xc1"));
  why = "VEX.vvvv is used";
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x73, 0x49, 0xc0"));        // tilezero
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x73, 0x4b, 0x04, 0x20"));  // tileloadd
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x70, 0x49, 0x00"));        // ldtilecfg
  why = "the number of a tile is above 7";
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0x62, 0x7b, 0x49, 0xc0"));        // tilezero tmm8
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0x62, 0x7b, 0x4b, 0x04, 0x20"));  // tileloadd tmm8
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0x62, 0x69, 0x5e, 0xc1"));        // tdpbusd tmm8, tmm1, tmm2
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xc2, 0x69, 0x5e, 0xc1"));        // tdpbusd tmm0, tmm9, tmm2
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x29, 0x5e, 0xc1"));        // tdpbusd tmm0, tmm1, tmm10
  why = "the operand has no SIB byte";
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x00"));  // tileloadd
  expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x7a, 0x4b, 0xc0"));  // tilestored
  expect_refused("an operand is in memory", SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x69, 0x5e, 0x00"));
  expect_refused("ModRM.reg is not 0", SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x78, 0x49, 0x08"));  // ldtilecfg
  expect_refused("ModRM.rm is not 0", SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x78, 0x49, 0xc1"));   // tilerelease
  expect_refused("ModRM.rm is not 0", SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc1"));   // tilezero
  if (!on_hardware()) {  // later hardware may know instructions of these encodings
    why = "there is none of this encoding";
    expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x7a, 0x49, 0xc0"));
    expect_refused(why, SIGILL, BYTEGATE_RUN(".byte 0xc4, 0xe2, 0x78, 0x4b, 0x04, 0x20"));
  }
}

TEST_F(TileFaultsTest, AHandlerOfSigsegvSeesTheInstruction) {
  const Child child = in_child([](std::string&) {
    static int seen = 0;
    const struct sigaction action = handler([](int, siginfo_t* info, void* context) {
      greg_t& rip = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
      const std::uint8_t ldtilecfg_rdx[] = {0xc4, 0xe2, 0x78, 0x49, 0x02};
      if (std::memcmp(reinterpret_cast<const void*>(rip), ldtilecfg_rdx, sizeof ldtilecfg_rdx) != 0) _exit(2);
      if (info->si_code != SI_KERNEL) _exit(3);
      rip += sizeof ldtilecfg_rdx;
      ++seen;
    });
    sigaction(SIGSEGV, &action, nullptr);
    TileConfiguration c = configuration();
    ldtilecfg(c);
    c.rows[0] = 17;
    for (int i = 0; i < 3; ++i) asm volatile("ldtilecfg (%0)" : : "d"(&c) : "memory");
    return seen == 3 && sttilecfg() == configuration() ? 0 : 1;  // a refused configuration changes nothing
  });
  EXPECT_EQ(child.exit_code, 0);
}

TEST_F(TileFaultsTest, ABlockedSigsegvEndsTheProcess) {
  expect_refused("the palette is neither 0 nor 1", SIGSEGV, [] {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGSEGV);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    TileConfiguration c;
    c.palette = 9;
    ldtilecfg(c);
  });
}

TEST_F(TileFaultsTest, PastTheRowsIsAFault) {
  for (bool at_end : {true, false}) {
    const GuardedMemory memory(std::size_t{5} * 24, at_end), configured(64, at_end);
    const std::ptrdiff_t step = at_end ? 1 : -1;
    auto* c = new (configured.data()) TileConfiguration(configuration());
    auto* beside = reinterpret_cast<TileConfiguration*>(configured.data() + step);
    const auto faults = [&](const auto& run) {
      const Child child = in_child([&](std::string&) {
        signal(SIGSEGV, SIG_DFL);
        ldtilecfg(*c);
        tileloadd(0, memory.data(), 24);
        tilestored(memory.data(), 24, 0);
        run();
        return 0;
      });
      EXPECT_EQ(child.exit_code, 128 + SIGSEGV);
    };
    faults([&] { tileloadd(0, memory.data() + step, 24); });
    faults([&] { tilestored(memory.data() + step, 24, 0); });
    faults([&] { tileloadd(0, memory.data() + (at_end ? 0 : 4), at_end ? 25 : -25); });
    faults([&] { asm volatile("ldtilecfg (%0)" : : "r"(beside) : "memory"); });
    faults([&] { asm volatile("sttilecfg (%0)" : : "r"(beside) : "memory"); });
  }
}

// A handler that makes the page accessible and returns: the instruction goes on at the row that start_row says.
TEST_F(TileFaultsTest, AFaultIsMendedInTheMiddle) {
  const Child child = in_child([](std::string&) {
    static std::byte* page = nullptr;
    static int row = -1;
    page = static_cast<std::byte*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int i = 0; i < 5 * 24; ++i) page[4096 - 48 + i] = static_cast<std::byte>(i);
    mprotect(page + 4096, 4096, PROT_NONE);
    const struct sigaction action = handler([](int, siginfo_t* info, void*) {
      if (!on_hardware()) row = sttilecfg().start_row;  // there a handler has tiles of its own
      if (info->si_addr != page + 4096 || mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE) != 0) _exit(2);
    });
    sigaction(SIGSEGV, &action, nullptr);
    ldtilecfg(configuration());
    tileloadd(0, page + 4096 - 48, 24);
    if (sttilecfg().start_row != 0 || (!on_hardware() && row != 2)) return 3;
    std::byte stored[5 * 24];
    tilestored(stored, 24, 0);
    return std::memcmp(stored, page + 4096 - 48, sizeof stored) == 0 ? 0 : 1;
  });
  EXPECT_EQ(child.exit_code, 0) << child.output;
}

}  // namespace
}  // namespace bytegate::testing
