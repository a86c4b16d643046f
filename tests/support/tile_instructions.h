// The tile instructions of x86-64 by themselves, in assembly: no compiler flag is needed, and no compiler can change
// what is executed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bytegate::testing {

/// The operand of ldtilecfg.
struct TileConfiguration {
  std::uint8_t palette = 1, start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> colsb{};
  std::array<std::uint8_t, 16> rows{};

  void set(std::size_t tile, std::size_t row_count, std::size_t row_bytes) {
    rows[tile] = static_cast<std::uint8_t>(row_count);
    colsb[tile] = static_cast<std::uint16_t>(row_bytes);
  }
  bool operator==(const TileConfiguration&) const = default;
};
static_assert(sizeof(TileConfiguration) == 64);

/// Calls f with the number of a tile as a constant, and the arguments. (clang++ 14 does not capture what only the
/// assembly of a lambda uses.)
template <class F, class... Arguments>
void with_tile(unsigned tile, const F& f, Arguments... arguments) {
  switch (tile) {
    case 0:
      return f(std::integral_constant<int, 0>{}, arguments...);
    case 1:
      return f(std::integral_constant<int, 1>{}, arguments...);
    case 2:
      return f(std::integral_constant<int, 2>{}, arguments...);
    case 3:
      return f(std::integral_constant<int, 3>{}, arguments...);
    case 4:
      return f(std::integral_constant<int, 4>{}, arguments...);
    case 5:
      return f(std::integral_constant<int, 5>{}, arguments...);
    case 6:
      return f(std::integral_constant<int, 6>{}, arguments...);
    default:
      return f(std::integral_constant<int, 7>{}, arguments...);
  }
}

inline void ldtilecfg(const TileConfiguration& c) { asm volatile("ldtilecfg (%0)" : : "r"(&c) : "memory"); }
inline TileConfiguration sttilecfg() {
  TileConfiguration c;
  asm volatile("sttilecfg (%0)" : : "r"(&c) : "memory");
  return c;
}
inline void tilerelease() { asm volatile("tilerelease" : : : "memory"); }
inline void tilezero(unsigned tile) {
  with_tile(tile, [](auto t) { asm volatile("tilezero %%tmm%c0" : : "i"(t()) : "memory"); });
}
inline void tileloadd(unsigned tile, const void* from, std::ptrdiff_t stride) {
  with_tile(
      tile,
      [](auto t, auto* row, std::ptrdiff_t distance) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(row), "r"(distance), "i"(t()) : "memory");
      },
      from, stride);
}
inline void tileloaddt1(unsigned tile, const void* from, std::ptrdiff_t stride) {
  with_tile(
      tile,
      [](auto t, auto* row, std::ptrdiff_t distance) {
        asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(row), "r"(distance), "i"(t()) : "memory");
      },
      from, stride);
}
inline void tilestored(void* to, std::ptrdiff_t stride, unsigned tile) {
  with_tile(
      tile,
      [](auto t, auto* row, std::ptrdiff_t distance) {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(row), "r"(distance), "i"(t()) : "memory");
      },
      to, stride);
}

/// The product `name` of tiles (c + 3) % 8 and (c + 6) % 8, added to tile c.
#define BYTEGATE_TILE_PRODUCT(name)                                   \
  inline void name(unsigned c) {                                      \
    with_tile(c, [](auto t) {                                         \
      asm volatile(#name " %%tmm%c2, %%tmm%c1, %%tmm%c0"              \
                   :                                                  \
                   : "i"(t()), "i"((t() + 3) % 8), "i"((t() + 6) % 8) \
                   : "memory");                                       \
    });                                                               \
  }
BYTEGATE_TILE_PRODUCT(tdpbuud)
BYTEGATE_TILE_PRODUCT(tdpbusd)
BYTEGATE_TILE_PRODUCT(tdpbsud)
BYTEGATE_TILE_PRODUCT(tdpbssd)
#undef BYTEGATE_TILE_PRODUCT

}  // namespace bytegate::testing
