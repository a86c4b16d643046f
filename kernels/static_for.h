// Compile-time loops, and what else keeps values in the right registers. g++ keeps arrays of accumulators on the stack
// when a loop over them is unrolled late (by pragma); a fold over constants is expanded before that, so every element
// becomes a register with both compilers.
#pragma once

#include <utility>

#define BYTEGATE_INLINE inline __attribute__((always_inline))
#define BYTEGATE_LAMBDA __attribute__((always_inline))

namespace bytegate::kernels {

/// f.operator()<0>(), ..., f.operator()<n - 1>()
template <int n, class F>
BYTEGATE_INLINE void static_for(const F& f) {
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
template <int mr>
BYTEGATE_INLINE std::size_t tile_count(std::size_t rows) {
  return (rows + mr - 1) / mr;
}

/// Covers `rows` rows with tiles of at most `mr`, as even as possible (7 rows by 6: 4 + 3), calling
/// f.operator()<tile rows>(first row). `rows` may be 0. Tiles of fewer than `least` rows are known not to occur.
template <int mr, int least = 1, class F>
BYTEGATE_INLINE void for_each_tile(std::size_t rows, const F& f) {
  std::size_t tiles = tile_count<mr>(rows);
  for (std::size_t m = 0; m < rows; --tiles) {
    const std::size_t height = (rows - m + tiles - 1) / tiles;
    static_for<mr - least + 1>([&]<int i>() BYTEGATE_LAMBDA {
      if (height == i + least) f.template operator()<i + least>(m);
    });
    m += height;
  }
}

}  // namespace bytegate::kernels
