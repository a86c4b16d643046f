#include <bytegate/activations.h>

#include "layers/core/functions.h"
#include "layers/core/rows.h"
#include "layers/kinds.h"

namespace bytegate {
namespace {

void describe_softmax(const char* kind, const char* printed, LayerVisitor& visitor) {
  visitor.begin(kind, printed);
  visitor.field({"dim", std::int64_t{-1}, LayerField::Print::named, true, false});
}

void check_dim(LayerSource& source) {
  const double dim = source.number("dim", -1);
  if (dim != -1) source.fail({"has dim ", dim, "; -1, the last dimension, is accepted"});
}

}  // namespace

void Softmax::forward(ConstTensorView x, TensorView y) const {
  detail::check_has_rows(x.shape, "Softmax");
  detail::for_each_row(x, y, "Softmax", detail::softmax_row);
}
void Softmax::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }
Shape Softmax::output_shape(const Shape& x) const {
  detail::check_has_rows(x, "Softmax");
  return x;
}

void Softmax::describe(LayerVisitor& visitor) const { describe_softmax("softmax", "Softmax", visitor); }

LayerPtr detail::make_softmax(LayerSource& source) {
  check_dim(source);
  return detail::own(new Softmax());
}

void LogSoftmax::forward(ConstTensorView x, TensorView y) const {
  detail::check_has_rows(x.shape, "LogSoftmax");
  detail::for_each_row(x, y, "LogSoftmax", detail::log_softmax_row);
}
void LogSoftmax::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }
Shape LogSoftmax::output_shape(const Shape& x) const {
  detail::check_has_rows(x, "LogSoftmax");
  return x;
}

void LogSoftmax::describe(LayerVisitor& visitor) const { describe_softmax("log_softmax", "LogSoftmax", visitor); }

LayerPtr detail::make_log_softmax(LayerSource& source) {
  check_dim(source);
  return detail::own(new LogSoftmax());
}

}  // namespace bytegate
