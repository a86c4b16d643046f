#include <bytegate/layers.h>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/kinds.h"

namespace bytegate {

void ReLU::forward(ConstTensorView x, TensorView y) const {
  if (!(x.shape == y.shape)) detail::check_shape(false, "ReLU: the output", y.shape, x.shape);
  detail::check_data(x.data, "ReLU: the input", x.shape);
  detail::check_data(y.data, "ReLU: the output", y.shape);
  const detail::FloatEnvironment environment;  // comparisons depend on whether operands are flushed
  const std::size_t n = x.shape.elements();
  for (std::size_t i = 0; i < n; ++i) y.data[i] = 0.0f > x.data[i] ? 0.0f : x.data[i];
}
void ReLU::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }

[[gnu::cold]] void ReLU::describe(LayerVisitor& visitor) const { visitor.begin("relu", "ReLU"); }

[[gnu::cold]] LayerPtr detail::make_relu(LayerSource& source) {
  source.ignore("inplace");
  return std::make_shared<const ReLU>();
}

}  // namespace bytegate
