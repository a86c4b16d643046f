#include "layers/core/checks.h"
#include "layers/core/share.h"
#include "layers/kinds.h"
#include "layers/linear_core.h"

namespace bytegate {
namespace detail {

void LinearCore::fail_input(const Shape& x) const {
  check_shape(false, "Linear: the input", x, join_text({"[..., ", in_features(), "]"}));
  __builtin_unreachable();
}

namespace {

std::shared_ptr<const LinearCore> make_core(const Weight& weight, ConstTensorView bias, const Scheme& scheme, bool relu,
                                            const Backend* backend) {
  return share<LinearCore>("Linear", weight, bias, scheme, relu, backend);
}

Weight view_weight(ConstTensorView weight) {
  check_shape(weight.shape.rank() == 2, "Linear: the weight", weight.shape, "[out_features, in_features]");
  check_data(weight.data, "Linear: the weight", weight.shape);
  return Weight::view(weight);
}

}  // namespace
}  // namespace detail

Linear::Linear(ConstTensorView weight, ConstTensorView bias, bool relu, const Backend* backend)
    : core_(detail::make_core(detail::view_weight(weight), bias, {}, relu, backend)) {}

Linear::Linear(const Weight& weight, ConstTensorView bias, const Scheme& scheme, bool relu, const Backend* backend)
    : core_(detail::make_core(weight, bias, scheme, relu, backend)) {}

Linear Linear::from_float(const Linear& linear, const Scheme& scheme, const Backend* backend) {
  if (linear.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"Linear::from_float: the layer is int8 already"});
  const std::optional<Tensor> bias = linear.bias();
  return {Weight::quantizing(linear.weight(), scheme), bias ? bias->view() : ConstTensorView{}, scheme, linear.relu(),
          backend ? backend : &linear.backend()};
}

LayerPtr Linear::quantize_dynamic(const Scheme& scheme, const Backend* backend) const {
  return quantized() ? nullptr : detail::own(new Linear(from_float(*this, scheme, backend)));
}

Tensor Linear::forward(const Tensor& x) const {
  Workspace workspace;
  Tensor y(output_shape(x.shape));
  forward(x.view(), y.view(), workspace);
  return y;
}

std::int64_t Linear::in_features() const noexcept { return core_->in_features(); }
std::int64_t Linear::out_features() const noexcept { return core_->out_features(); }
bool Linear::relu() const noexcept { return core_->relu; }
bool Linear::quantized() const noexcept { return core_->scheme.has_value(); }
const std::optional<Scheme>& Linear::scheme() const noexcept { return core_->scheme; }
Weight Linear::weight() const { return core_->weights.unpack(core_); }
std::optional<Tensor> Linear::bias() const { return core_->bias(); }
const Backend& Linear::backend() const noexcept { return *core_->backend; }
Shape Linear::output_shape(const Shape& x) const { return core_->output_shape(x); }

namespace {

/// A Linear's fields.
struct LinearFields {
  std::int64_t in_features;
  std::int64_t out_features;
  bool bias;
  bool relu;
};

void describe_linear(const LinearFields& fields, bool quantized, LayerVisitor& visitor) {
  using Print = LayerField::Print;
  visitor.begin("linear", quantized ? "DynamicQuantizedLinear" : "Linear");
  visitor.field({"in_features", fields.in_features, Print::named});
  visitor.field({"out_features", fields.out_features, Print::named});
  visitor.field({"bias", fields.bias, quantized ? Print::never : Print::named, fields.bias});
  visitor.field({"relu", fields.relu, Print::named_unless_default, !fields.relu});
}

LinearFields read_linear_fields(LayerSource& source) {
  return {source.size("in_features", "weight", 1), source.size("out_features", "weight", 0),
          source.flag("bias", true, "bias"), source.flag("relu", false)};
}

}  // namespace

void Linear::describe(LayerVisitor& visitor) const {
  describe_linear({in_features(), out_features(), core_->has_bias, relu()}, quantized(), visitor);
  if (quantized()) {
    visitor.field({"dtype", "qint8", LayerField::Print::named});
    visitor.field({"qscheme", detail::qscheme(*scheme()), LayerField::Print::named, false, false});
    visitor.scheme(*scheme());
  }
  visitor.weight("weight", weight());
  if (const std::optional<Tensor> b = bias()) visitor.tensor("bias", *b);
}

LayerPtr detail::make_linear(LayerSource& source) {
  const LinearFields fields = read_linear_fields(source);
  if (fields.relu && source.has_fold()) source.fail({"has a relu, so nothing behind it can be folded into it"});
  Tensor bias;
  if (fields.bias) bias = source.floats("bias", Shape{fields.out_features});
  const Weight weight = source.weight("weight", fields.out_features, fields.in_features);
  const Scheme scheme = weight.quantized() ? source.scheme() : Scheme();
  return detail::own(
      new Linear(weight, fields.bias ? bias.view() : ConstTensorView{}, scheme, fields.relu, source.backend()));
}

LayerOutline detail::outline_linear(LayerSource& source) {
  const LinearFields fields = read_linear_fields(source);
  source.weight("weight", fields.out_features, fields.in_features);
  if (fields.bias) source.floats("bias", Shape{fields.out_features});
  check_lone_matrix(source, fields.out_features, fields.in_features);
  const auto describe = [&](LayerVisitor& visitor) { describe_linear(fields, false, visitor); };
  return {printed(describe), fields.in_features, fields.out_features};
}

}  // namespace bytegate
