// A fixture for tests of tile instructions, on hardware or under the trap (trap.h).
#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/tile_instructions.h"
#include "tests/support/trap.h"

namespace bytegate::testing {

/// On a CPU with AMX no trap is installed.
inline bool on_hardware() { return has_amx(); }

/// Whether this process can use tiles, from now on.
inline bool enable_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, of <asm/prctl.h>
  return on_hardware() ? syscall(SYS_arch_prctl, request_permission, tile_data) == 0 : trap_amx();
}

class TileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ready_ = enable_tiles();
    if (!ready_ && on_hardware()) GTEST_SKIP() << "the kernel does not permit tiles";
    ASSERT_TRUE(ready_) << "no trap can be installed";
  }
  void TearDown() override {
    if (ready_) tilerelease();
  }

 private:
  bool ready_ = false;
};

}  // namespace bytegate::testing
