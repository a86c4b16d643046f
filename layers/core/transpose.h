// Copies of matrices with other strides.
#pragma once

#include <cstddef>

namespace bytegate::detail {

/// y[r * y_stride + c] = x[r * row_stride + c * col_stride], in blocks, so that each line of the cache is read once
/// where the columns are far apart.
void copy_matrix(const float* x, std::size_t row_stride, std::size_t col_stride, std::size_t rows, std::size_t cols,
                 float* y, std::size_t y_stride) noexcept;

}  // namespace bytegate::detail
