// What the trap's parts know of each other: an instruction with a VEX prefix, decoded, and what came of it. Encoding:
// "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2, 2.1.5 and 2.3.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>

namespace bytegate::testing {

/// An instruction of the form C4, RXBmmmmm, WvvvvLpp, opcode, ModRM[, SIB][, displacement] in opcode map 0F38.
struct TrappedInstruction {
  const std::uint8_t* end;  ///< the next instruction
  std::uint64_t origin;     ///< a memory operand's address without its index register
  std::uint64_t index;      ///< the index register, scaled; 0 if there is none
  unsigned opcode, pp;      ///< pp: 0 no prefix, 1 for 66, 2 for F3, 3 for F2
  unsigned reg, rm, vvvv;   ///< numbers of registers, 0 to 15; rm of a register operand
  bool w, l, memory, sib;   ///< memory: the ModRM byte stands for memory; sib: with a SIB byte
};

/// What came of an attempt to carry an instruction out.
struct Outcome {
  enum Kind { unknown, done, undefined_opcode, general_protection } kind;
  const char* name = "";  ///< of the instruction that was refused
  const char* why = "";   ///< the rule it broke
};

/// Carries out vpdpbusd, vpdpwssd or vpbroadcastd on 256 bits, in the registers of the context. Any CPU with AVX2 has
/// the last: kernels load one between two dot products, and one signal then does for both.
Outcome execute_vector_instruction(const TrappedInstruction& instruction, ucontext_t& context);
inline bool is_vector_instruction(unsigned opcode) { return opcode == 0x50 || opcode == 0x52 || opcode == 0x58; }

/// Carries out an instruction of AMX-TILE or AMX-INT8 on the tiles of this thread.
Outcome execute_tile_instruction(const TrappedInstruction& instruction);
inline bool is_tile_instruction(unsigned opcode) { return opcode == 0x49 || opcode == 0x4b || opcode == 0x5e; }

}  // namespace bytegate::testing
