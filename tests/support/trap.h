// Instructions that this CPU lacks, carried out in software, so that the kernels which use them run in tests as they
// are. Only for x86-64.
#pragma once

namespace bytegate::testing {

/// From the first call on, this process executes vpdpbusd and vpdpwssd on 256 bits, VEX-encoded, in software where
/// the CPU finds it illegal: the kernels of avxvnni then run, slowly, on any CPU with AVX2. Returns whether that works,
/// which it finds out by trying (an emulated CPU's signal frames may lack the upper halves of the registers).
bool trap_avxvnni();

/// From the first call on, this process executes the instructions of AMX-TILE and AMX-INT8 in software, on a CPU that
/// finds them illegal. Returns false where the CPU executes them itself (see has_amx) or where no trap can be
/// installed.
///
/// An instruction that hardware would refuse is refused with the same signal: SIGILL where hardware raises #UD, SIGSEGV
/// where it raises #GP, at the same address. It arrives at the handler that was installed before (for SIGILL: before
/// the first call of this function), and a line on stderr says what was wrong. A load or store touches exactly rows *
/// colsb bytes; a fault on one of them is the SIGSEGV of that access, and start_row then says which row it was.
///
/// Each thread has its own tiles, and a new one begins without a configuration; a child process begins with a copy of
/// its parent's. (Linux promises neither.) Unlike on hardware, a signal handler works on the tiles of the code that it
/// interrupts, and a thread that blocks SIGILL cannot use tiles.
bool trap_amx();

/// Whether the CPU executes the tile instructions itself and the operating system saves the tiles. A process still has
/// to ask for permission to use them.
bool has_amx();

}  // namespace bytegate::testing
