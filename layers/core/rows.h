// Layers that compute each row of the last dimension by itself.
#pragma once

#include <cstddef>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"

namespace bytegate::detail {

/// Throws Error (shape_mismatch) for a shape without dimensions.
inline void check_has_rows(const Shape& x, const char* layer) {
  if (x.rank() == 0) check_shape(false, join_text({layer, ": the input"}), x, "at least one dimension");
}

/// Calls f(row of x, row of y, row size) for every row, in the usual floating-point environment, once x and y are
/// checked. The output has the shape of x.
template <class F>
void for_each_row(ConstTensorView x, TensorView y, const char* layer, const F& f) {
  if (!(x.shape == y.shape)) check_shape(false, join_text({layer, ": the output"}), y.shape, x.shape);
  const std::size_t elements = x.shape.elements();
  if (elements == 0) return;
  if (!x.data) check_data(x.data, join_text({layer, ": the input"}), x.shape);
  if (!y.data) check_data(y.data, join_text({layer, ": the output"}), y.shape);
  const auto size = static_cast<std::size_t>(x.shape.back());
  const FloatEnvironment environment;
  for (std::size_t i = 0; i < elements; i += size) f(x.data + i, y.data + i, size);
}

}  // namespace bytegate::detail
