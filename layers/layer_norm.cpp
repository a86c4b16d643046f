#include <bytegate/norms.h>

#include <cmath>

#include "layers/core/functions.h"
#include "layers/core/rows.h"
#include "layers/core/share.h"
#include "layers/kinds.h"

namespace bytegate {
namespace detail {

struct LayerNormCore {
  std::int64_t size;
  double eps;
  Tensor weight;  ///< empty for none
  Tensor bias;
};

namespace {

Tensor copy_affine(ConstTensorView values, std::int64_t size, const char* what) {
  if (!values.data) return {};
  const Shape expected{size};
  check_shape(values.shape == expected, what, values.shape, expected);
  return Tensor(expected, {values.data, values.data + size});
}

}  // namespace
}  // namespace detail

LayerNorm::LayerNorm(std::int64_t normalized_shape, ConstTensorView weight, ConstTensorView bias, double eps) {
  using detail::throw_error;
  constexpr std::int64_t most = (std::int64_t{1} << 30) - 1;
  if (normalized_shape < 1 || normalized_shape > most) {
    throw_error(ErrorCode::invalid_argument,
                {"LayerNorm: normalized_shape is ", normalized_shape, "; 1 to ", most, " are accepted"});
  }
  if (!(eps >= 0) || !std::isfinite(eps))
    throw_error(ErrorCode::invalid_argument, {"LayerNorm: eps is ", eps, "; a finite number of 0 or more is accepted"});
  if (bias.data && !weight.data)
    throw_error(ErrorCode::invalid_argument, {"LayerNorm: a bias without a weight is not accepted"});
  core_ = detail::share<detail::LayerNormCore>(detail::LayerNormCore{
      normalized_shape, eps, detail::copy_affine(weight, normalized_shape, "LayerNorm: the weight"),
      detail::copy_affine(bias, normalized_shape, "LayerNorm: the bias")});
}

void LayerNorm::forward(ConstTensorView x, TensorView y) const {
  output_shape(x.shape);
  const float *weight = core_->weight.data.data(), *bias = core_->bias.data.data();
  detail::for_each_row(x, y, "LayerNorm", [&](const float* in, float* out, std::size_t n) {
    detail::normalize_row(in, out, n, core_->eps, weight, bias);
  });
}
void LayerNorm::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }

Shape LayerNorm::output_shape(const Shape& x) const {
  if (x.rank() == 0 || x.back() != core_->size) {
    detail::check_shape(false, "LayerNorm: the input", x, detail::join_text({"[..., ", core_->size, "]"}));
  }
  return x;
}

std::int64_t LayerNorm::normalized_shape() const noexcept { return core_->size; }
double LayerNorm::eps() const noexcept { return core_->eps; }

void LayerNorm::describe(LayerVisitor& visitor) const {
  using Print = LayerField::Print;
  const bool weight = !core_->weight.data.empty(), bias = !core_->bias.data.empty();
  visitor.begin("layer_norm", "LayerNorm");
  visitor.field({"shape", detail::join_text({"(", core_->size, ",)"}), Print::value, false, false});
  visitor.field({"normalized_shape", core_->size});
  visitor.field({"eps", core_->eps, Print::named, core_->eps == 1e-5});
  visitor.field({"elementwise_affine", weight, Print::named, weight});
  visitor.field({"bias", bias, Print::named_unless_default, bias == weight});
  if (weight) visitor.tensor("weight", core_->weight);
  if (bias) visitor.tensor("bias", core_->bias);
}

LayerPtr detail::make_layer_norm(LayerSource& source) {
  const bool affine = source.flag("elementwise_affine", true, "weight");
  const bool bias = source.flag("bias", affine, "bias");
  const std::int64_t size = source.size("normalized_shape", "weight", 0, 1);
  const double eps = source.number("eps", 1e-5);
  const Tensor weights = affine ? source.floats("weight", Shape{size}) : Tensor();
  const Tensor biases = bias ? source.floats("bias", Shape{size}) : Tensor();
  return detail::own(
      new LayerNorm(size, affine ? weights.view() : ConstTensorView{}, bias ? biases.view() : ConstTensorView{}, eps));
}

}  // namespace bytegate
