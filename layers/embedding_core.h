// What an Embedding holds.
#pragma once

#include <bytegate/layers.h>

#include <vector>

namespace bytegate::detail {

struct EmbeddingCore {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<float> floats;  ///< either these
  QuantizedWeight quantized;  ///< or this

  explicit EmbeddingCore(const Weight& weight);

  Shape output_shape(const Shape& x) const;
  /// Throws Error unless x and y are what forward accepts.
  void check(IndexView x, TensorView y) const;
  [[noreturn]] void fail_index(std::int64_t index, std::size_t element) const;
  void copy_row(std::size_t row, float* out) const;
};

}  // namespace bytegate::detail
