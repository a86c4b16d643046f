#include <bytegate/reshapes.h>

#include <algorithm>

#include "layers/core/checks.h"
#include "layers/kinds.h"

namespace bytegate {

Shape Flatten::output_shape(const Shape& x) const {
  if (x.rank() == 0) detail::check_shape(false, "Flatten: the input", x, "at least one dimension");
  std::int64_t rest = 1;
  for (const std::int64_t dim : x.dims().subspan(1)) rest *= dim;
  return {x[0], rest};
}

void Flatten::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const {
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) detail::check_shape(false, "Flatten: the output", y.shape, expected);
  detail::check_data(x.data, "Flatten: the input", x.shape);
  detail::check_data(y.data, "Flatten: the output", y.shape);
  std::copy_n(x.data, x.shape.elements(), y.data);
}

void Flatten::describe(LayerVisitor& visitor) const {
  visitor.begin("flatten", "Flatten");
  visitor.field({"start_dim", std::int64_t{1}, LayerField::Print::named, true, false});
  visitor.field({"end_dim", std::int64_t{-1}, LayerField::Print::named, true, false});
}

LayerPtr detail::make_flatten(LayerSource&) { return detail::own(new Flatten()); }

}  // namespace bytegate
