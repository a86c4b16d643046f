#include <bytegate/reshapes.h>

#include <algorithm>
#include <array>

#include "layers/core/checks.h"
#include "layers/kinds.h"

namespace bytegate {

Shape LastStep::output_shape(const Shape& x) const {
  const std::size_t time = batch_first_ ? 1 : 0;
  if (x.rank() <= time || x[time] == 0) {
    detail::check_shape(false, "LastStep: the input", x,
                        batch_first_ ? "[batch, time, ...] of one step or more" : "[time, ...] of one step or more");
  }
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::size_t rank = 0;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i != time) dims[rank++] = x[i];
  }
  return Shape(std::span<const std::int64_t>(dims.data(), rank));
}

void LastStep::forward(ConstTensorView x, TensorView y, std::span<const std::int64_t> lengths) const {
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) detail::check_shape(false, "LastStep: the output", y.shape, expected);
  detail::check_data(x.data, "LastStep: the input", x.shape);
  detail::check_data(y.data, "LastStep: the output", y.shape);
  const auto steps = static_cast<std::size_t>(x.shape[batch_first_ ? 1 : 0]);
  const std::size_t elements = expected.elements();
  if (elements == 0) return;
  if (lengths.empty() && !batch_first_) {
    std::copy_n(x.data + (steps - 1) * elements, elements, y.data);
    return;
  }
  if (x.shape.rank() < 2) detail::check_shape(false, "LastStep: the input with lengths", x.shape, "[time, batch, ...]");
  const auto batch = static_cast<std::size_t>(expected[0]);
  if (!lengths.empty() && lengths.size() != batch) {
    detail::throw_error(ErrorCode::shape_mismatch,
                        {"LastStep: there are ", lengths.size(), " lengths for a batch of ", batch});
  }
  const std::size_t size = elements / batch;
  for (std::size_t b = 0; b < batch; ++b) {
    const std::int64_t length = lengths.empty() ? static_cast<std::int64_t>(steps) : lengths[b];
    if (length < 1 || length > static_cast<std::int64_t>(steps)) {
      detail::throw_error(ErrorCode::invalid_argument,
                          {"LastStep: the length of sequence ", b, " is ", length, ", expected 1 to ", steps});
    }
    const auto last = static_cast<std::size_t>(length - 1);
    std::copy_n(x.data + (batch_first_ ? b * steps + last : last * batch + b) * size, size, y.data + b * size);
  }
}
void LastStep::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }
void LastStep::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*,
                       std::span<const std::int64_t> lengths) const {
  forward(x, y, lengths);
}

void LastStep::describe(LayerVisitor& visitor) const {
  visitor.begin("last_step", "LastStep");
  visitor.field({"batch_first", batch_first_, LayerField::Print::named_unless_default, !batch_first_});
}

LayerPtr detail::make_last_step(LayerSource& source) {
  return detail::own(new LastStep(source.flag("batch_first", false)));
}

}  // namespace bytegate
