// Weights on their way to L2 while others are multiplied.
#pragma once

#include <cstddef>

#include "kernels/static_for.h"

namespace bytegate::kernels {

/// The panel to come, of which each tile of rows fetches its part while it multiplies the panel before. The CPU fetches
/// ahead of a tile by itself, but while the tiles after the first read the same weights again, it has nothing to fetch.
class FetchAhead {
 public:
  BYTEGATE_INLINE FetchAhead() {}
  /// The panel at `weights`, `bytes` for each group of k, by `tiles` tiles. One tile alone fetches nothing: it reads
  /// each weight once, as fast as they come.
  BYTEGATE_INLINE FetchAhead(const void* weights, std::size_t bytes, std::size_t tiles)
      : at_(static_cast<const char*>(weights)), step_(tiles > 1 ? bytes / tiles : 0) {}

  /// For so many groups of k, in a tile that passes over all groups so many times.
  template <int groups, int passes>
  BYTEGATE_INLINE void fetch() {
    __builtin_prefetch(at_, 0, 2);
    at_ += step_ * groups / passes;
  }

 private:
  const char* at_ = nullptr;
  std::size_t step_ = 0;
};

/// Whether a tile of so many rows of at most `mr` fetches ahead: of several tiles, which are as even as possible, each
/// has at least half of the most rows.
template <int rows, int mr>
inline constexpr bool fetches_ahead = rows > 1 && 2 * rows > mr;

}  // namespace bytegate::kernels
