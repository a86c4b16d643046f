// vpdpbusd, vpdpwssd and vpbroadcastd in their VEX encoding, on the vector registers of a signal frame.
#include <array>
#include <cstring>

#include "tests/support/trapped_instruction.h"

namespace bytegate::testing {
namespace {

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

}  // namespace

Outcome execute_vector_instruction(const TrappedInstruction& instruction, ucontext_t& context) {
  Registers registers(context);
  // VEX.256.66.0F38.W0 50, 52 and 58
  if (instruction.w || !instruction.l || instruction.pp != 1 || !registers.has_ymm()) return {Outcome::unknown};
  registers.fill_upper_halves();
  const bool broadcasts = instruction.opcode == 0x58;
  std::array<std::uint8_t, 32> b;
  if (instruction.memory) {
    const auto* from = reinterpret_cast<const void*>(instruction.origin + instruction.index);
    std::memcpy(b.data(), from, broadcasts ? 4 : b.size());
  } else {
    registers.load(instruction.rm, b.data());
  }
  if (broadcasts) {
    for (std::size_t i = 4; i < b.size(); ++i) b[i] = b[i - 4];
    registers.store(instruction.reg, b.data());
    return {Outcome::done};
  }
  std::array<std::uint8_t, 32> a;
  std::array<std::uint32_t, 8> sums;
  registers.load(instruction.vvvv, a.data());
  registers.load(instruction.reg, reinterpret_cast<std::uint8_t*>(sums.data()));
  if (instruction.opcode == 0x50) {  // vpdpbusd: unsigned by signed bytes
    for (std::size_t i = 0; i < a.size(); ++i)
      sums[i / 4] += static_cast<std::uint32_t>(a[i] * static_cast<std::int8_t>(b[i]));
  } else {  // vpdpwssd: signed by signed 16 bits
    std::array<std::int16_t, 16> a16;
    std::array<std::int16_t, 16> b16;
    std::memcpy(a16.data(), a.data(), a.size());
    std::memcpy(b16.data(), b.data(), b.size());
    for (std::size_t i = 0; i < a16.size(); ++i) sums[i / 2] += static_cast<std::uint32_t>(a16[i] * b16[i]);
  }
  registers.store(instruction.reg, reinterpret_cast<const std::uint8_t*>(sums.data()));
  return {Outcome::done};
}

}  // namespace bytegate::testing
