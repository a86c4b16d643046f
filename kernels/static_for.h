// Compile-time loops, and what else keeps values in the right registers. g++ keeps arrays of accumulators on the stack
// when a loop over them is unrolled late (by pragma); a fold over constants is expanded before that, so every element
// becomes a register with both compilers.
#pragma once

#include <cstddef>
#include <utility>

#define BYTEGATE_INLINE inline __attribute__((always_inline))
#define BYTEGATE_LAMBDA __attribute__((always_inline))

namespace bytegate::kernels {

/// f.operator()<0>(), ..., f.operator()<n - 1>()
template <int n, class F>
BYTEGATE_INLINE constexpr void static_for(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) BYTEGATE_LAMBDA { (f.template operator()<i>(), ...); }
  (std::make_integer_sequence<int, n>{});
}

/// v, known to the compiler at this place only: what is computed from it takes no register of a loop before.
template <class T>
BYTEGATE_INLINE T computed_here(T v) {
  asm volatile("" : "+r"(v));
  return v;
}

/// How many tiles of at most `mr` rows cover `rows` rows.
BYTEGATE_INLINE std::size_t tile_count(std::size_t rows, std::size_t mr) { return (rows + mr - 1) / mr; }

/// Tiles of at most `mr` rows that cover `rows` rows, which may be 0, as even as possible (7 rows by 6: 4 + 3).
struct RowTiles {
  std::size_t count, height, longer;  ///< the first `longer` have one row more

  BYTEGATE_INLINE RowTiles(std::size_t rows, std::size_t mr)
      : count(tile_count(rows, mr)), height(count > 0 ? rows / count : 0), longer(rows - count * height) {}

  /// f(tile, first row, height) for each.
  template <class F>
  BYTEGATE_INLINE void for_each(const F& f) const {
    std::size_t m = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t rows = height + (i < longer);
      f(i, m, rows);
      m += rows;
    }
  }
};

/// f.operator()<height>(), for a height from `least` to `most`.
template <int least, int most, class F>
BYTEGATE_INLINE void with_height(std::size_t height, const F& f) {
  static_for<most - least + 1>([&]<int i>() BYTEGATE_LAMBDA {
    if (height == i + least) f.template operator()<i + least>();
  });
}

}  // namespace bytegate::kernels
