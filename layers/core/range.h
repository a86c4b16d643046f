// Ranges of rows, panels and units, and their division among threads.
#pragma once

#include <cstddef>

namespace bytegate::detail {

struct Range {
  std::size_t begin;
  std::size_t end;

  std::size_t size() const noexcept { return end - begin; }
};

/// Part `index` of `count` nearly equal parts of [0, n).
inline Range split_range(std::size_t n, std::size_t index, std::size_t count) noexcept {
  return {n * index / count, n * (index + 1) / count};
}

}  // namespace bytegate::detail
