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

[[gnu::cold]] double check_finite_option(double value, const char* what) {
  if (!std::isfinite(value)) detail::throw_error(ErrorCode::invalid_argument, {what, " is not finite"});
  return value;
}

}  // namespace

void ReLU::apply(const float* x, float* y, std::size_t n) const noexcept {
  for (std::size_t i = 0; i < n; ++i) y[i] = 0.0f > x[i] ? 0.0f : x[i];
}

[[gnu::cold]] void ReLU::describe(LayerVisitor& visitor) const { visitor.begin("relu", "ReLU"); }

[[gnu::cold]] LayerPtr detail::make_relu(LayerSource& source) {
  source.ignore("inplace");
  return std::make_shared<const ReLU>();
}

[[gnu::cold]] LeakyReLU::LeakyReLU(double negative_slope)
    : Elementwise("LeakyReLU"), negative_slope_(check_finite_option(negative_slope, "LeakyReLU: negative_slope")) {}

void LeakyReLU::apply(const float* x, float* y, std::size_t n) const noexcept {
  const auto slope = static_cast<float>(negative_slope_);
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

[[gnu::cold]] void LeakyReLU::describe(LayerVisitor& visitor) const {
  visitor.begin("leaky_relu", "LeakyReLU");
  visitor.field({"negative_slope", negative_slope_, LayerField::Print::named, negative_slope_ == 0.01});
}

[[gnu::cold]] LayerPtr detail::make_leaky_relu(LayerSource& source) {
  source.ignore("inplace");
  return std::make_shared<const LeakyReLU>(source.number("negative_slope", 0.01));
}

[[gnu::cold]] ELU::ELU(double alpha) : Elementwise("ELU"), alpha_(check_finite_option(alpha, "ELU: alpha")) {}

void ELU::apply(const float* x, float* y, std::size_t n) const noexcept {
  const auto alpha = static_cast<float>(alpha_);
  for (std::size_t i = 0; i < n; ++i) {
    const float below = alpha * detail::exp_minus_1(x[i] > 0.0f ? 0.0f : x[i]);
    y[i] = x[i] > 0.0f ? x[i] : below;
  }
}

[[gnu::cold]] void ELU::describe(LayerVisitor& visitor) const {
  visitor.begin("elu", "ELU");
  visitor.field({"alpha", alpha_, LayerField::Print::named, alpha_ == 1.0});
}

[[gnu::cold]] LayerPtr detail::make_elu(LayerSource& source) {
  source.ignore("inplace");
  return std::make_shared<const ELU>(source.number("alpha", 1.0));
}

[[gnu::cold]] Sigmoid::Sigmoid(const Backend* backend) : Elementwise("Sigmoid"), backend_(&check_backend(backend)) {}

void Sigmoid::apply(const float* x, float* y, std::size_t n) const noexcept { backend_->kernels->sigmoid(x, y, n); }

[[gnu::cold]] void Sigmoid::describe(LayerVisitor& visitor) const { visitor.begin("sigmoid", "Sigmoid"); }

[[gnu::cold]] LayerPtr detail::make_sigmoid(LayerSource& source) {
  return std::make_shared<const Sigmoid>(source.backend());
}

[[gnu::cold]] Tanh::Tanh(const Backend* backend) : Elementwise("Tanh"), backend_(&check_backend(backend)) {}

void Tanh::apply(const float* x, float* y, std::size_t n) const noexcept { backend_->kernels->tanh(x, y, n); }

[[gnu::cold]] void Tanh::describe(LayerVisitor& visitor) const { visitor.begin("tanh", "Tanh"); }

[[gnu::cold]] LayerPtr detail::make_tanh(LayerSource& source) { return std::make_shared<const Tanh>(source.backend()); }

}  // namespace bytegate
