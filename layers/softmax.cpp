#include <bytegate/activations.h>

#include "layers/core/functions.h"
#include "layers/core/rows.h"
#include "layers/kinds.h"

namespace bytegate {
namespace {

/// The largest element. NaN may be passed over: it makes the row's sum NaN.
float largest_of(const float* x, std::size_t n) noexcept {
  constexpr std::size_t lanes = 8;
  float max[lanes];
  for (float& m : max) m = x[0];
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) max[lane] = x[i + lane] > max[lane] ? x[i + lane] : max[lane];
  }
  for (; i < n; ++i) max[0] = x[i] > max[0] ? x[i] : max[0];
  for (const float m : max) max[0] = m > max[0] ? m : max[0];
  return max[0];
}

void softmax_row(const float* x, float* y, std::size_t n) noexcept {
  const float max = largest_of(x, n);
  for (std::size_t i = 0; i < n; ++i) y[i] = detail::exp(x[i] - max);
  const auto sum = static_cast<float>(detail::lane_sum(n, [&](std::size_t i) { return y[i]; }));
  for (std::size_t i = 0; i < n; ++i) y[i] = y[i] / sum;
}

/// The exponentials are computed in pieces, since y may be x.
void log_softmax_row(const float* x, float* y, std::size_t n) noexcept {
  const float max = largest_of(x, n);
  const double sum = detail::lane_sum(n, [&](std::size_t i) { return detail::exp(x[i] - max); });
  const auto log_sum = static_cast<float>(detail::log(sum));
  for (std::size_t i = 0; i < n; ++i) y[i] = (x[i] - max) - log_sum;
}

[[gnu::cold]] void describe_softmax(const char* kind, const char* printed, LayerVisitor& visitor) {
  visitor.begin(kind, printed);
  visitor.field({"dim", std::int64_t{-1}, LayerField::Print::named, true, false});
}

[[gnu::cold]] void check_dim(LayerSource& source) {
  const double dim = source.number("dim", -1);
  if (dim != -1) source.fail({"has dim ", dim, "; -1, the last dimension, is accepted"});
}

}  // namespace

void Softmax::forward(ConstTensorView x, TensorView y) const {
  detail::check_has_rows(x.shape, "Softmax");
  detail::for_each_row(x, y, "Softmax", softmax_row);
}
void Softmax::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }
Shape Softmax::output_shape(const Shape& x) const {
  detail::check_has_rows(x, "Softmax");
  return x;
}

[[gnu::cold]] void Softmax::describe(LayerVisitor& visitor) const { describe_softmax("softmax", "Softmax", visitor); }

[[gnu::cold]] LayerPtr detail::make_softmax(LayerSource& source) {
  check_dim(source);
  return std::make_shared<const Softmax>();
}

void LogSoftmax::forward(ConstTensorView x, TensorView y) const {
  detail::check_has_rows(x.shape, "LogSoftmax");
  detail::for_each_row(x, y, "LogSoftmax", log_softmax_row);
}
void LogSoftmax::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }
Shape LogSoftmax::output_shape(const Shape& x) const {
  detail::check_has_rows(x, "LogSoftmax");
  return x;
}

[[gnu::cold]] void LogSoftmax::describe(LayerVisitor& visitor) const {
  describe_softmax("log_softmax", "LogSoftmax", visitor);
}

[[gnu::cold]] LayerPtr detail::make_log_softmax(LayerSource& source) {
  check_dim(source);
  return std::make_shared<const LogSoftmax>();
}

}  // namespace bytegate
