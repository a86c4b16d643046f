#include <bytegate/weight.h>

#include <memory>

#include "layers/core/checks.h"
#include "layers/quant/row_pieces.h"

namespace bytegate {
namespace {

void check_matrix(const Shape& shape) { detail::check_shape(shape.rank() == 2, "the weight", shape, "[rows, cols]"); }

}  // namespace

std::shared_ptr<const std::vector<float>> Weight::no_scales() {
  static const auto none = std::make_shared<const std::vector<float>>();
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
  const auto owned = std::make_shared<const Tensor>(std::move(weight));
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
  scales_ = std::make_shared<const std::vector<float>>(std::move(weight.scales));
  const auto owned = std::make_shared<const std::vector<std::int8_t>>(std::move(weight.data));
  int8s_ = detail::rows_in_memory(owned->data(), cols_, owned);
}

Weight::Weight(std::int64_t rows, std::int64_t cols, FloatReader read)
    : rows_(rows), cols_(cols), scales_(no_scales()), floats_(std::move(read)) {}

Weight::Weight(std::int64_t rows, std::int64_t cols, std::vector<float> scales, Int8Reader read)
    : rows_(rows),
      cols_(cols),
      scales_(std::make_shared<const std::vector<float>>(std::move(scales))),
      int8s_(std::move(read)) {
  detail::check_scales(*scales_, rows, "the weight");
}

Weight Weight::view(ConstTensorView weight) {
  check_matrix(weight.shape);
  detail::check_data(weight.data, "the weight", weight.shape);
  return Weight(weight.shape[0], weight.shape[1], FloatReader(detail::rows_in_memory(weight.data, weight.shape[1])));
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
