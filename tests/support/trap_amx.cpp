// The instructions of AMX-TILE and AMX-INT8. What they do and refuse: "Intel 64 and IA-32 Architectures Software
// Developer's Manual", volume 1, chapter "Programming with Intel Advanced Matrix Extensions", and volume 2, each
// instruction and the exception classes AMX-E1 to AMX-E6. Compiled with -O3: whole suites of tests multiply here.
#include <array>
#include <atomic>
#include <cstring>

#include "tests/support/trapped_instruction.h"

namespace bytegate::testing {
namespace {

constexpr unsigned kTiles = 8, kRows = 16, kRowBytes = 64;

/// The tiles of a thread. Bytes outside a tile's rows and colsb are zero at all times: every instruction that writes a
/// tile writes these only, and a configuration begins with zeros.
struct Tiles {
  alignas(64) std::array<std::uint8_t, kRowBytes> data[kTiles][kRows];
  std::uint8_t palette;  ///< 0: no tile is configured
  std::uint8_t start_row;
  std::uint8_t rows[kTiles];
  std::uint16_t colsb[kTiles];
};

// In the static block of thread-local storage: a signal handler must not allocate it.
constinit thread_local Tiles tiles __attribute__((tls_model("initial-exec"))) = {};

Outcome undefined(const char* name, const char* why) { return {Outcome::undefined_opcode, name, why}; }

// ------------------------------------------------------------------------------------------------------------------
// The configuration: byte 0 palette, 1 start_row, 16 to 47 colsb of 16 tiles, 48 to 63 their rows.

using Configuration = std::array<std::uint8_t, 64>;

unsigned colsb_of(const Configuration& c, unsigned tile) { return c[16 + 2 * tile] + 256u * c[17 + 2 * tile]; }
unsigned rows_of(const Configuration& c, unsigned tile) { return c[48 + tile]; }

/// The rule that a configuration breaks, or null.
const char* fault_of(const Configuration& c) {
  if (c[0] == 0) return nullptr;  // what follows is not looked at
  if (c[0] > 1) return "the palette is neither 0 nor 1";
  for (unsigned i = 2; i < 16; ++i) {
    if (c[i] != 0) return "a reserved byte, 2 to 15, is not zero";
  }
  for (unsigned t = 0; t < 16; ++t) {
    const unsigned rows = rows_of(c, t), colsb = colsb_of(c, t);
    if (t >= kTiles && (rows != 0 || colsb != 0)) return "rows or colsb of a tile above 7 is not zero";
    if (rows > kRows) return "a tile has more than 16 rows";
    if (colsb > kRowBytes) return "a tile has more than 64 bytes a row";
    if ((rows == 0) != (colsb == 0)) return "of a tile's rows and colsb one is zero and the other is not";
  }
  return nullptr;
}

Outcome load_configuration(std::uint64_t address) {
  Configuration c;
  std::memcpy(c.data(), reinterpret_cast<const void*>(address), c.size());
  if (const char* fault = fault_of(c)) return {Outcome::general_protection, "ldtilecfg", fault};
  tiles = {};
  if (c[0] == 0) return {Outcome::done};
  tiles.palette = c[0];
  tiles.start_row = c[1];
  for (unsigned t = 0; t < kTiles; ++t) {
    tiles.rows[t] = static_cast<std::uint8_t>(rows_of(c, t));
    tiles.colsb[t] = static_cast<std::uint16_t>(colsb_of(c, t));
  }
  return {Outcome::done};
}

Outcome store_configuration(std::uint64_t address) {
  Configuration c{};
  c[0] = tiles.palette;
  c[1] = tiles.start_row;
  for (unsigned t = 0; t < kTiles; ++t) {
    c[16 + 2 * t] = static_cast<std::uint8_t>(tiles.colsb[t]);
    c[48 + t] = tiles.rows[t];
  }
  std::memcpy(reinterpret_cast<void*>(address), c.data(), c.size());
  return {Outcome::done};
}

// ------------------------------------------------------------------------------------------------------------------
// Tiles.

/// Why this tile cannot be used, or null.
const char* fault_of(unsigned tile) {
  if (tile >= kTiles) return "the number of a tile is above 7";
  if (tiles.palette == 0) return "no tiles are configured";
  if (tiles.rows[tile] == 0) return "a tile without rows is used";
  return nullptr;
}

/// tileloadd and tilestored. A fault in the middle leaves start_row at the row that it happened in.
template <class MoveRow>
Outcome move_rows(const char* name, const TrappedInstruction& i, const MoveRow& move_row) {
  if (!i.memory || !i.sib) return undefined(name, "the operand has no SIB byte");
  if (const char* fault = fault_of(i.reg)) return undefined(name, fault);
  const std::size_t colsb = tiles.colsb[i.reg];
  if (colsb % 4 != 0) return undefined(name, "colsb is not a multiple of 4");
  if (tiles.start_row >= tiles.rows[i.reg]) return undefined(name, "start_row is not a row of the tile");
  for (; tiles.start_row < tiles.rows[i.reg]; ++tiles.start_row) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // start_row is written before memory is touched
    move_row(tiles.data[i.reg][tiles.start_row].data(), i.origin + tiles.start_row * i.index, colsb);
  }
  tiles.start_row = 0;
  return {Outcome::done};
}

void load_row(std::uint8_t* row, std::uint64_t address, std::size_t colsb) {
  const void* from = reinterpret_cast<const void*>(address);
  std::array<std::uint8_t, kRowBytes> loaded;  // a row is loaded whole or not at all
  if (colsb == kRowBytes) {
    std::memcpy(loaded.data(), from, kRowBytes);
    std::memcpy(row, loaded.data(), kRowBytes);
  } else {
    std::memcpy(loaded.data(), from, colsb);
    std::memcpy(row, loaded.data(), colsb);
  }
}

void store_row(const std::uint8_t* row, std::uint64_t address, std::size_t colsb) {
  void* to = reinterpret_cast<void*>(address);
  if (colsb == kRowBytes) {
    std::memcpy(to, row, kRowBytes);
  } else {
    std::memcpy(to, row, colsb);
  }
}

Outcome zero_tile(unsigned tile) {
  if (const char* fault = fault_of(tile)) return undefined("tilezero", fault);
  std::memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
  tiles.start_row = 0;
  return {Outcome::done};
}

// ------------------------------------------------------------------------------------------------------------------
// Products: c[m][n] += sum over k and j < 4 of a[m][4 k + j] * b[k][4 n + j], modulo 2^32.

struct Product {
  unsigned c, a, b;  ///< tiles
};

const char* fault_of(const Product& p) {
  if (p.c == p.a || p.c == p.b || p.a == p.b) return "two operands are the same tile";
  for (unsigned tile : {p.c, p.a, p.b}) {
    if (const char* fault = fault_of(tile)) return fault;
    if (tiles.colsb[tile] % 4 != 0) return "colsb is not a multiple of 4";
  }
  if (tiles.rows[p.c] != tiles.rows[p.a]) return "the sums and the first factor differ in rows";
  if (tiles.colsb[p.c] != tiles.colsb[p.b]) return "the sums and the second factor differ in colsb";
  if (tiles.colsb[p.a] != 4 * tiles.rows[p.b]) return "the first factor's colsb is not 4 times the second's rows";
  return nullptr;
}

/// Half a row of sums or factors. (g++ 12 moves vectors that are larger than the CPU's through memory.)
using Words = std::uint32_t __attribute__((vector_size(32)));
using SignedWords = std::int32_t __attribute__((vector_size(32)));

/// Byte j of every word.
template <bool is_signed>
__attribute__((always_inline)) inline void take_bytes(const Words& words, int j, Words& bytes) {
  const Words high = words << (24 - 8 * j);
  if constexpr (is_signed) {
    bytes = reinterpret_cast<Words>(reinterpret_cast<SignedWords>(high) >> 24);
  } else {
    bytes = high >> 24;
  }
}

/// Columns beyond the tile's are zeros in b, and stay zeros in c.
template <bool a_signed, bool b_signed>
__attribute__((always_inline)) inline void multiply_inline(const Product& p) {
  const std::size_t rows = tiles.rows[p.c], terms = tiles.colsb[p.a];
  Words b[kRowBytes][2];
  for (std::size_t i = 0; i < terms; ++i) {
    for (std::size_t half = 0; half < 2; ++half) {
      Words words;
      std::memcpy(&words, tiles.data[p.b][i / 4].data() + half * sizeof words, sizeof words);
      take_bytes<b_signed>(words, static_cast<int>(i % 4), b[i][half]);
    }
  }
  for (std::size_t m = 0; m < rows; ++m) {
    const std::uint8_t* a = tiles.data[p.a][m].data();
    std::uint8_t* c = tiles.data[p.c][m].data();
    Words sums[2];
    std::memcpy(sums, c, sizeof sums);
    for (std::size_t i = 0; i < terms; ++i) {
      const int factor = a_signed ? static_cast<std::int8_t>(a[i]) : a[i];
      sums[0] += b[i][0] * static_cast<std::uint32_t>(factor);
      sums[1] += b[i][1] * static_cast<std::uint32_t>(factor);
    }
    std::memcpy(c, sums, sizeof sums);
  }
}

template <bool a_signed, bool b_signed>
void multiply_anywhere(const Product& p) {
  multiply_inline<a_signed, b_signed>(p);
}
template <bool a_signed, bool b_signed>
__attribute__((target("avx2"))) void multiply_with_avx2(const Product& p) {
  multiply_inline<a_signed, b_signed>(p);
}

struct Variant {
  const char* name;
  void (*anywhere)(const Product&);
  void (*with_avx2)(const Product&);
};
/// By VEX.pp.
constexpr Variant kVariants[] = {{"tdpbuud", multiply_anywhere<false, false>, multiply_with_avx2<false, false>},
                                 {"tdpbusd", multiply_anywhere<false, true>, multiply_with_avx2<false, true>},
                                 {"tdpbsud", multiply_anywhere<true, false>, multiply_with_avx2<true, false>},
                                 {"tdpbssd", multiply_anywhere<true, true>, multiply_with_avx2<true, true>}};

Outcome multiply(const TrappedInstruction& i) {
  const Variant& variant = kVariants[i.pp];
  const Product p{i.reg, i.rm, i.vvvv};
  if (const char* fault = fault_of(p)) return undefined(variant.name, fault);
  (__builtin_cpu_supports("avx2") ? variant.with_avx2 : variant.anywhere)(p);
  tiles.start_row = 0;
  return {Outcome::done};
}

// ------------------------------------------------------------------------------------------------------------------
// The instruction of an encoding.

enum class Operation { none, load_configuration, store_configuration, release, zero, load, store, multiply };
struct Meaning {
  Operation operation = Operation::none;
  const char* name = "a tile instruction";
};

Meaning meaning_of(const TrappedInstruction& i) {
  using enum Operation;
  if (i.opcode == 0x5e) return {multiply, kVariants[i.pp].name};
  if (i.opcode == 0x4b) {
    static constexpr Meaning moves[] = {{}, {load, "tileloaddt1"}, {store, "tilestored"}, {load, "tileloadd"}};
    return moves[i.pp];
  }
  if (i.memory && i.pp == 0) return {load_configuration, "ldtilecfg"};
  if (i.memory && i.pp == 1) return {store_configuration, "sttilecfg"};
  if (!i.memory && i.pp == 0) return {release, "tilerelease"};
  if (!i.memory && i.pp == 3) return {zero, "tilezero"};
  return {};
}

}  // namespace

Outcome execute_tile_instruction(const TrappedInstruction& i) {
  const Meaning meaning = meaning_of(i);
  const char* name = meaning.name;
  if (i.l) return undefined(name, "VEX.L is set");
  if (i.w) return undefined(name, "VEX.W is set");
  if (meaning.operation == Operation::multiply) {
    if (i.memory) return undefined(name, "an operand is in memory");
    return multiply(i);
  }
  if (i.vvvv != 0) return undefined(name, "VEX.vvvv is used");
  switch (meaning.operation) {
    case Operation::load:
      return move_rows(name, i, load_row);
    case Operation::store:
      return move_rows(name, i, store_row);
    case Operation::zero:
      return i.rm == 0 ? zero_tile(i.reg) : undefined(name, "ModRM.rm is not 0");
    default:
      break;
  }
  if (i.reg != 0) return undefined(name, "ModRM.reg is not 0");
  switch (meaning.operation) {
    case Operation::load_configuration:
      return load_configuration(i.origin + i.index);
    case Operation::store_configuration:
      return store_configuration(i.origin + i.index);
    case Operation::release:
      if (i.rm != 0) return undefined(name, "ModRM.rm is not 0");
      tiles = {};
      return {Outcome::done};
    default:
      return undefined(name, "there is none of this encoding");
  }
}

}  // namespace bytegate::testing
