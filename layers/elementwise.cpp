#include <algorithm>
#include <cstring>

#include "layers/staging.h"

namespace bytegate {
namespace detail {

struct EmbeddingCore {
  std::int64_t rows;
  std::int64_t cols;
  std::vector<float> floats;  ///< either these
  QuantizedWeight quantized;  ///< or this

  /// Throws Error unless x and y are what forward accepts.
  [[gnu::noinline]] void check(IndexView x, TensorView y) const {
    check_data(x.data, "Embedding: the input", x.shape);
    check_data(y.data, "Embedding: the output", y.shape);
    const auto expected = x.shape.dims();
    const bool ok = y.shape.rank() == expected.size() + 1 && std::ranges::equal(expected, y.shape.dims().first(expected.size())) && y.shape.back() == cols;
    if (!ok) check_shape(false, "Embedding: the output", y.shape, (to_string(x.shape) + " with " + std::to_string(cols) + " behind").c_str());
    for (std::size_t i = 0; i < x.shape.elements(); ++i) {
      if (x.data[i] < 0 || x.data[i] >= rows) {
        throw Error(ErrorCode::invalid_argument,
                    "Embedding: index " + std::to_string(x.data[i]) + " at element " + std::to_string(i) + ", expected 0 to " + std::to_string(rows - 1));
      }
    }
  }

  template <class CopyRow>
  void forward(IndexView x, TensorView y, const CopyRow& copy_row) const {
    check(x, y);
    for (std::size_t i = 0; i < x.shape.elements(); ++i) {
      copy_row(static_cast<std::size_t>(x.data[i]), y.data + i * static_cast<std::size_t>(cols));
    }
  }
};

}  // namespace detail

Embedding::Embedding(ConstTensorView weight) {
  detail::check_shape(weight.shape.rank() == 2, "Embedding: the weight", weight.shape, "[num_embeddings, embedding_dim]");
  detail::check_data(weight.data, "Embedding: the weight", weight.shape);
  core_ = std::make_shared<detail::EmbeddingCore>(detail::EmbeddingCore{
      weight.shape[0], weight.shape[1], std::vector<float>(weight.data, weight.data + weight.shape.elements()), {}});
}

void Embedding::forward(IndexView x, TensorView y) const {
  const auto cols = static_cast<std::size_t>(core_->cols);
  core_->forward(x, y, [&](std::size_t row, float* out) { std::copy_n(core_->floats.data() + row * cols, cols, out); });
}
std::int64_t Embedding::num_embeddings() const noexcept { return core_->rows; }
std::int64_t Embedding::embedding_dim() const noexcept { return core_->cols; }
Tensor Embedding::weight() const { return Tensor(Shape{core_->rows, core_->cols}, core_->floats); }

QuantizedEmbedding::QuantizedEmbedding(const QuantizedWeight& weight) {
  detail::check_quantized(weight, "Embedding: the weight");
  core_ = std::make_shared<detail::EmbeddingCore>(detail::EmbeddingCore{weight.rows, weight.cols, {}, weight});
}

QuantizedEmbedding QuantizedEmbedding::from_float(const Embedding& embedding) {
  return QuantizedEmbedding(quantize_weight(embedding.weight().view(), Scheme::accurate()));
}

void QuantizedEmbedding::forward(IndexView x, TensorView y) const {
  const auto cols = static_cast<std::size_t>(core_->cols);
  const QuantizedWeight& w = core_->quantized;
  core_->forward(x, y, [&](std::size_t row, float* out) {
    const float scale = w.scales[w.scales.size() == 1 ? 0 : row];
    for (std::size_t k = 0; k < cols; ++k) out[k] = scale * static_cast<float>(w.data[row * cols + k]);
  });
}
std::int64_t QuantizedEmbedding::num_embeddings() const noexcept { return core_->rows; }
std::int64_t QuantizedEmbedding::embedding_dim() const noexcept { return core_->cols; }
QuantizedWeight QuantizedEmbedding::weight() const { return core_->quantized; }

void ReLU::forward(ConstTensorView x, TensorView y) const {
  detail::check_shape(x.shape == y.shape, "ReLU: the output", y.shape, "that of the input");
  detail::check_data(x.data, "ReLU: the input", x.shape);
  detail::check_data(y.data, "ReLU: the output", y.shape);
  const std::size_t n = x.shape.elements();
  for (std::size_t i = 0; i < n; ++i) y.data[i] = 0.0f > x.data[i] ? 0.0f : x.data[i];
}

Shape Flatten::output_shape(const Shape& x) const {
  detail::check_shape(x.rank() >= 1, "Flatten: the input", x, "at least one dimension");
  std::int64_t rest = 1;
  for (std::int64_t dim : x.dims().subspan(1)) rest *= dim;
  return {x[0], rest};
}

}  // namespace bytegate
