// Rows for threads whose cores differ in speed, by their kind or by what else runs there.
#pragma once

#include <bytegate/backend.h>

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "layers/core/range.h"

namespace bytegate::detail {

/// Whoever is ready takes the next rows: at most `most`, and fewer towards the end, so that all threads end at about
/// the same time, in multiples of `least`. Any number of threads may take rows at once.
class RowQueue {
 public:
  RowQueue(std::size_t rows, std::size_t most, std::size_t least, std::size_t threads)
      : rows_(rows), most_(most), least_(least), parts_(2 * threads) {}

  /// Empty when all rows are taken.
  Range take() noexcept {
    std::size_t begin = begin_.load(std::memory_order_relaxed), end;
    do {
      const std::size_t left = rows_ - begin, part = round_up((left + parts_ - 1) / parts_, least_);
      end = begin + std::min({left, part, most_});
    } while (!begin_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return {begin, end};
  }

 private:
  const std::size_t rows_, most_, least_, parts_;
  std::atomic<std::size_t> begin_{0};
};

}  // namespace bytegate::detail
