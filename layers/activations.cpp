#include <bytegate/activations.h>

#include <cmath>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/functions.h"
#include "layers/kinds.h"

namespace bytegate {

void Elementwise::forward(ConstTensorView x, TensorView y) const {
  if (!(x.shape == y.shape)) detail::check_shape(false, detail::join_text({name_, ": the output"}), y.shape, x.shape);
  const std::size_t n = x.shape.elements();
  if (n == 0) return;
  if (!x.data) detail::check_data(x.data, detail::join_text({name_, ": the input"}), x.shape);
  if (!y.data) detail::check_data(y.data, detail::join_text({name_, ": the output"}), y.shape);
  const detail::FloatEnvironment environment;
  apply(x.data, y.data, n);
}
void Elementwise::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }

namespace {

double check_finite_option(double value, const char* what) {
  if (!std::isfinite(value)) detail::throw_error(ErrorCode::invalid_argument, {what, " is not finite"});
  return value;
}

}  // namespace

void ReLU::apply(const float* x, float* y, std::size_t n) const noexcept { detail::relu(x, y, n); }

void ReLU::describe(LayerVisitor& visitor) const { visitor.begin("relu", "ReLU"); }

LayerPtr detail::make_relu(LayerSource& source) {
  source.ignore("inplace");
  return detail::own(new ReLU());
}

LeakyReLU::LeakyReLU(double negative_slope)
    : Elementwise("LeakyReLU"), negative_slope_(check_finite_option(negative_slope, "LeakyReLU: negative_slope")) {}

void LeakyReLU::apply(const float* x, float* y, std::size_t n) const noexcept {
  detail::leaky_relu(x, y, n, static_cast<float>(negative_slope_));
}

void LeakyReLU::describe(LayerVisitor& visitor) const {
  visitor.begin("leaky_relu", "LeakyReLU");
  visitor.field({"negative_slope", negative_slope_, LayerField::Print::named, negative_slope_ == 0.01});
}

LayerPtr detail::make_leaky_relu(LayerSource& source) {
  source.ignore("inplace");
  return detail::own(new LeakyReLU(source.number("negative_slope", 0.01)));
}

ELU::ELU(double alpha) : Elementwise("ELU"), alpha_(check_finite_option(alpha, "ELU: alpha")) {}

void ELU::apply(const float* x, float* y, std::size_t n) const noexcept {
  detail::elu(x, y, n, static_cast<float>(alpha_));
}

void ELU::describe(LayerVisitor& visitor) const {
  visitor.begin("elu", "ELU");
  visitor.field({"alpha", alpha_, LayerField::Print::named, alpha_ == 1.0});
}

LayerPtr detail::make_elu(LayerSource& source) {
  source.ignore("inplace");
  return detail::own(new ELU(source.number("alpha", 1.0)));
}

Sigmoid::Sigmoid(const Backend* backend) : Elementwise("Sigmoid"), backend_(&check_backend(backend)) {}

void Sigmoid::apply(const float* x, float* y, std::size_t n) const noexcept { backend_->kernels->sigmoid(x, y, n); }

void Sigmoid::describe(LayerVisitor& visitor) const { visitor.begin("sigmoid", "Sigmoid"); }

LayerPtr detail::make_sigmoid(LayerSource& source) { return detail::own(new Sigmoid(source.backend())); }

Tanh::Tanh(const Backend* backend) : Elementwise("Tanh"), backend_(&check_backend(backend)) {}

void Tanh::apply(const float* x, float* y, std::size_t n) const noexcept { backend_->kernels->tanh(x, y, n); }

void Tanh::describe(LayerVisitor& visitor) const { visitor.begin("tanh", "Tanh"); }

LayerPtr detail::make_tanh(LayerSource& source) { return detail::own(new Tanh(source.backend())); }

}  // namespace bytegate
