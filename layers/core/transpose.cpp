#include "layers/core/transpose.h"

#include <cstring>

namespace bytegate::detail {

void copy_matrix(const float* x, std::size_t row_stride, std::size_t col_stride, std::size_t rows, std::size_t cols,
                 float* y, std::size_t y_stride) noexcept {
  if (col_stride == 1) {
    for (std::size_t r = 0; r < rows; ++r) std::memcpy(y + r * y_stride, x + r * row_stride, cols * sizeof(float));
    return;
  }
  constexpr std::size_t block = 16;
  for (std::size_t r0 = 0; r0 < rows; r0 += block) {
    const std::size_t r1 = r0 + block < rows ? r0 + block : rows;
    for (std::size_t c0 = 0; c0 < cols; c0 += block) {
      const std::size_t c1 = c0 + block < cols ? c0 + block : cols;
      for (std::size_t r = r0; r < r1; ++r) {
        for (std::size_t c = c0; c < c1; ++c) y[r * y_stride + c] = x[r * row_stride + c * col_stride];
      }
    }
  }
}

}  // namespace bytegate::detail
