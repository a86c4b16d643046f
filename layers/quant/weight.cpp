#include <bytegate/weight.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/share.h"
#include "layers/quant/row_pieces.h"

namespace bytegate {
namespace {

void check_matrix(const Shape& shape) { detail::check_shape(shape.rank() == 2, "the weight", shape, "[rows, cols]"); }

}  // namespace

std::shared_ptr<const std::vector<float>> Weight::no_scales() {
  static const auto none = detail::share<std::vector<float>>();
  return none;
}

Weight::Weight() : scales_(no_scales()) {}
Weight::Weight(const Weight&) = default;
Weight::Weight(Weight&&) noexcept = default;
Weight& Weight::operator=(const Weight&) = default;
Weight& Weight::operator=(Weight&&) noexcept = default;
Weight::~Weight() = default;

Weight::Weight(Tensor weight) : Weight() {
  if (weight.data.empty() && weight.shape.rank() == 0) return;
  check_matrix(weight.shape);
  const auto owned = detail::share<Tensor>(std::move(weight));
  const ConstTensorView view = owned->view();
  rows_ = view.shape[0];
  cols_ = view.shape[1];
  floats_ = detail::rows_in_memory(view.data, cols_, owned);
}

Weight::Weight(QuantizedWeight weight) : Weight() {
  if (weight.data.empty() && weight.rows == 0 && weight.cols == 0) return;
  rows_ = weight.rows;
  cols_ = weight.cols;
  detail::check_quantized(weight, "the weight");
  scales_ = detail::share<std::vector<float>>(std::move(weight.scales));
  const auto owned = detail::share<std::vector<std::int8_t>>(std::move(weight.data));
  int8s_ = detail::rows_in_memory(owned->data(), cols_, owned);
}

Weight::Weight(std::int64_t rows, std::int64_t cols, FloatReader read)
    : rows_(rows), cols_(cols), scales_(no_scales()), floats_(std::move(read)) {}

Weight::Weight(std::int64_t rows, std::int64_t cols, std::vector<float> scales, Int8Reader read)
    : rows_(rows), cols_(cols), scales_(detail::share<std::vector<float>>(std::move(scales))), int8s_(std::move(read)) {
  detail::check_scales(*scales_, rows, "the weight");
}

Weight Weight::view(ConstTensorView weight) {
  check_matrix(weight.shape);
  detail::check_data(weight.data, "the weight", weight.shape);
  return Weight(weight.shape[0], weight.shape[1], FloatReader(detail::rows_in_memory(weight.data, weight.shape[1])));
}

Weight Weight::with_shape(const Shape& shape) const {
  const bool fits = shape.rank() > 0 && shape[0] == rows_ && shape.elements() == Shape{rows_, cols_}.elements();
  detail::check_shape(fits, "the weight", Shape{rows_, cols_}, shape);
  Weight result = *this;
  result.shape_ = shape;
  return result;
}

namespace {

/// A reader of the rows that `read` has, each transposed from [m, n] to [n, m].
template <class T, class Reader>
Reader transposing(Reader read, std::size_t m, std::size_t n) {
  return [read = std::move(read), m, n](std::int64_t first, std::int64_t count, T* out) {
    read(first, count, out);
    std::vector<T> row(m * n);
    for (std::int64_t r = 0; r < count; ++r, out += m * n) {
      std::copy_n(out, m * n, row.data());
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < n; ++j) out[j * m + i] = row[i * n + j];
      }
    }
  };
}

}  // namespace

Weight Weight::with_rows_transposed(std::int64_t m) const {
  Weight result = *this;
  result.shape_ = {};
  if (m <= 1 || cols_ == m) return result;
  const auto rows = static_cast<std::size_t>(m), cols = static_cast<std::size_t>(cols_ / m);
  if (floats_) result.floats_ = transposing<float>(floats_, rows, cols);
  if (int8s_) result.int8s_ = transposing<std::int8_t>(int8s_, rows, cols);
  return result;
}

Weight Weight::with_rows_scaled(std::vector<double> factors) const {
  if (!floats_ || factors.size() != static_cast<std::size_t>(rows_)) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"Weight::with_rows_scaled: ", factors.size(), " factors for a weight of ", rows_,
                         floats_ ? " rows" : " rows that is not float32"});
  }
  Weight result = *this;
  result.floats_ = [read = floats_, factors = std::move(factors), cols = static_cast<std::size_t>(cols_)](
                       std::int64_t first, std::int64_t count, float* out) {
    read(first, count, out);
    const detail::FloatEnvironment environment;
    for (std::int64_t row = first; row < first + count; ++row, out += cols) {
      const double factor = factors[static_cast<std::size_t>(row)];
      for (std::size_t i = 0; i < cols; ++i) out[i] = static_cast<float>(static_cast<double>(out[i]) * factor);
    }
  };
  return result;
}

Tensor Weight::floats() const {
  if (!floats_) detail::throw_error(ErrorCode::invalid_argument, {"the weight is not float32; Weight::int8s reads it"});
  Tensor all(Shape{rows_, cols_});
  floats_(0, rows_, all.data.data());
  return all;
}

QuantizedWeight Weight::int8s() const {
  if (!int8s_) detail::throw_error(ErrorCode::invalid_argument, {"the weight is not int8; Weight::floats reads it"});
  QuantizedWeight all{rows_, cols_, std::vector<std::int8_t>(Shape{rows_, cols_}.elements()), {}};
  int8s_(0, rows_, all.data.data());
  all.scales = *scales_;
  return all;
}

}  // namespace bytegate
