// A call of an Embedding.
#include <algorithm>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/embedding_core.h"

namespace bytegate {
namespace detail {

Shape EmbeddingCore::output_shape(const Shape& x) const {
  std::array<std::int64_t, Shape::kMaxRank + 1> dims{};
  std::ranges::copy(x.dims(), dims.begin());
  dims[x.rank()] = cols;
  return Shape(std::span<const std::int64_t>(dims.data(), x.rank() + 1));
}

void EmbeddingCore::check(IndexView x, TensorView y) const {
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) check_shape(false, "Embedding: the output", y.shape, expected);
  check_data(x.data, "Embedding: the input", x.shape);
  check_data(y.data, "Embedding: the output", y.shape);
  const std::size_t count = x.shape.elements();
  for (std::size_t i = 0; i < count; ++i) {
    if (x.data[i] < 0 || x.data[i] >= rows) fail_index(x.data[i], i);
  }
}

void EmbeddingCore::copy_row(std::size_t row, float* out) const {
  const auto width = static_cast<std::size_t>(cols);
  if (quantized.data.empty()) {
    std::copy_n(floats.data() + row * width, width, out);
    return;
  }
  const float scale = quantized.scales[quantized.scales.size() == 1 ? 0 : row];
  for (std::size_t k = 0; k < width; ++k) out[k] = scale * static_cast<float>(quantized.data[row * width + k]);
}

}  // namespace detail

void Embedding::forward(IndexView x, TensorView y) const {
  core_->check(x, y);
  const detail::FloatEnvironment environment;
  const std::size_t width = static_cast<std::size_t>(core_->cols), count = x.shape.elements();
  for (std::size_t i = 0; i < count; ++i) {
    core_->copy_row(static_cast<std::size_t>(x.data[i]), y.data + i * width);
  }
}
void Embedding::forward(IndexView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }

}  // namespace bytegate
