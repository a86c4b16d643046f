// Weights and other operands on their way to L2 while others are multiplied.
#pragma once

#include <cstddef>

#include "kernels/static_for.h"

namespace bytegate::kernels {

/// From where a product reads its weights: caches in which they have been since they were read last, or beyond them.
enum class WeightsIn { l1, l2, beyond_l2 };

/// All of a piece that is too short for the CPU to fetch ahead by itself.
BYTEGATE_INLINE void fetch_piece(const void* data, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(data) + i, 0, 2);
}

/// The panel to come, of which each tile of rows fetches its part while it multiplies the panel before. The CPU fetches
/// ahead of a tile by itself, but while the tiles after the first read the same weights again, it has nothing to fetch.
class FetchAhead {
 public:
  BYTEGATE_INLINE FetchAhead() {}
  /// `step` bytes for each group of k.
  BYTEGATE_INLINE FetchAhead(const void* weights, std::size_t step)
      : at_(static_cast<const char*>(weights)), step_(step) {}

  /// The step if each of so many tiles fetches its part of a panel, of which a group has `bytes`. One tile alone
  /// fetches nothing: it reads each weight once, as fast as they come.
  static BYTEGATE_INLINE std::size_t step_of(std::size_t bytes, std::size_t tiles) {
    return tiles > 1 ? bytes / tiles : 0;
  }

  /// The part of one pass in a tile that passes over all groups so many times, and what is left after it.
  BYTEGATE_INLINE FetchAhead pass_of(std::size_t passes) const { return {at_, (step_ + passes - 1) / passes}; }
  BYTEGATE_INLINE void go_on_after(const FetchAhead& pass) { at_ = pass.at_; }

  /// For so many groups of k.
  template <int groups>
  BYTEGATE_INLINE void fetch() {
    __builtin_prefetch(at_, 0, 2);
    at_ += step_ * groups;
  }

 private:
  const char* at_ = nullptr;
  std::size_t step_ = 0;
};

/// What is read after all panels of a product: the last of each panel's tiles fetch of it instead, as many as it takes
/// and at most two thirds.
class FetchNext {
 public:
  /// `bytes` may be 0. Panels of `groups` groups of k, each multiplied by `tiles` tiles, which fetch a line for each
  /// group at most: if they are few, the beginning of `data`.
  BYTEGATE_INLINE FetchNext(const void* data, std::size_t bytes, std::size_t panels, std::size_t groups,
                            std::size_t tiles)
      : at_(static_cast<const char*>(data)) {
    constexpr std::size_t line = 64;
    if (bytes == 0 || panels * groups == 0 || tiles < 3) return;
    const std::size_t most = tiles - tiles / 3, enough = (bytes - 1) / (panels * groups * line) + 1;
    tiles_ = enough < most ? enough : most;
    const std::size_t even = bytes / (panels * groups * tiles_);
    step_ = even < line ? even : line;
    part_ = step_ * groups;
  }

  BYTEGATE_INLINE std::size_t tiles() const { return tiles_; }  ///< of each panel

  /// For the next tile.
  BYTEGATE_INLINE FetchAhead part() {
    const FetchAhead part(at_, step_);
    at_ += part_;
    return part;
  }

 private:
  const char* at_;
  std::size_t tiles_ = 0, step_ = 0, part_ = 0;
};

/// Whether a tile of so many rows of at most `mr` fetches ahead: of several tiles, which are as even as possible, each
/// has at least half of the most rows.
template <int rows, int mr>
inline constexpr bool fetches_ahead = rows > 1 && 2 * rows > mr;

}  // namespace bytegate::kernels
