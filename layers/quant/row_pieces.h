// A weight matrix in pieces of a few rows.
#pragma once

#include <bytegate/weight.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

namespace bytegate::detail {

/// A Weight's reader of a matrix in memory, which `owner` keeps alive (null: the caller does).
template <class T>
auto rows_in_memory(const T* data, std::int64_t cols, std::shared_ptr<const void> owner = nullptr) {
  return [data, cols, owner = std::move(owner)](std::int64_t first, std::int64_t count, T* out) {
    const auto width = static_cast<std::size_t>(cols);
    std::copy_n(data + static_cast<std::size_t>(first) * width, static_cast<std::size_t>(count) * width, out);
  };
}

/// Reads a matrix from front to back through a buffer that fits a private L2 cache. T is the type of the weight's
/// values.
template <class T>
class RowPieces {
 public:
  explicit RowPieces(const Weight& weight) : RowPieces(weight, 0, static_cast<std::size_t>(weight.rows())) {}
  /// Rows [first, first + rows) alone.
  RowPieces(const Weight& weight, std::size_t first, std::size_t rows)
      : weight_(weight),
        first_(first),
        rows_(rows),
        cols_(static_cast<std::size_t>(weight.cols())),
        piece_(std::clamp<std::size_t>(kPieceBytes / std::max<std::size_t>(cols_ * sizeof(T), 1), 1,
                                       std::max<std::size_t>(rows_, 1))),
        buffer_(new T[piece_ * cols_]) {}

  /// Calls f(first row, number of rows, values) for each piece.
  template <class F>
  void for_each(const F& f) const {
    for (std::size_t first = first_; first < first_ + rows_; first += piece_) {
      const std::size_t count = std::min(piece_, first_ + rows_ - first);
      weight_.read(static_cast<std::int64_t>(first), static_cast<std::int64_t>(count), buffer_.get());
      f(first, count, std::span<const T>(buffer_.get(), count * cols_));
    }
  }

 private:
  static constexpr std::size_t kPieceBytes = 256 * 1024;
  const Weight& weight_;
  std::size_t first_, rows_, cols_, piece_;
  std::unique_ptr<T[]> buffer_;
};

}  // namespace bytegate::detail
