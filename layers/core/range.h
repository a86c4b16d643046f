// Ranges of rows, panels and units, and their division among threads.
#pragma once

#include <cstddef>

namespace bytegate::detail {

struct Range {
  std::size_t begin;
  std::size_t end;

  std::size_t size() const noexcept { return end - begin; }
};

/// Part `index` of `count` nearly equal parts of [0, n), each a multiple of `unit` long but for the last.
inline Range split_range(std::size_t n, std::size_t index, std::size_t count, std::size_t unit = 1) noexcept {
  const std::size_t units = (n + unit - 1) / unit;
  const auto at = [&](std::size_t i) {
    const std::size_t position = units * i / count * unit;
    return position < n ? position : n;
  };
  return {at(index), at(index + 1)};
}

}  // namespace bytegate::detail
