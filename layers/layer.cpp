#include <bytegate/layer.h>

#include "layers/kinds.h"

namespace bytegate {

void LayerSource::fail(detail::TextParts message) const {
  fail(detail::join_text(message));
  __builtin_unreachable();
}

void LayerVisitor::begin(std::string_view, std::string_view) {}
void LayerVisitor::field(const LayerField&) {}
void LayerVisitor::scheme(const Scheme&) {}
void LayerVisitor::weight(const std::string&, const Weight&) {}
void LayerVisitor::tensor(const std::string&, const Tensor&) {}

void Layer::forward(ConstTensorView, TensorView, Workspace&, LayerState*) const {
  detail::throw_error(ErrorCode::invalid_argument, {to_string(*this), " takes indices, not floats"});
}
void Layer::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                    std::span<const std::int64_t>) const {
  forward(x, y, workspace, state);
}
void Layer::forward(IndexView, TensorView, Workspace&, LayerState*) const {
  detail::throw_error(ErrorCode::invalid_argument, {to_string(*this), " takes floats, not indices"});
}
void Layer::apply(const float*, float*, std::size_t) const noexcept {}
void Layer::forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
                         std::span<const std::int64_t> lengths, const Layer& next) const {
  forward(x, y, workspace, state, lengths);
  next.apply(y.data, y.data, y.shape.elements());
}
LayerPtr Layer::quantize_dynamic(const Scheme&, const Backend*) const { return nullptr; }

namespace {

/// PyTorch's printed form.
class Printer final : public LayerVisitor {
 public:
  std::string text() && { return std::move(text_.append(")")); }

 private:
  using Print = LayerField::Print;

  void begin(std::string_view, std::string_view printed) override { text_ = detail::join_text({printed, "("}); }
  void field(const LayerField& f) override {
    if (f.print == Print::never || (f.print == Print::named_unless_default && f.is_default)) return;
    if (text_.back() != '(') text_ += ", ";
    if (f.print != Print::value) detail::append_text(text_, {f.name, "="});
    if (const auto* truth = std::get_if<bool>(&f.value)) {
      text_ += *truth ? "True" : "False";
    } else {
      text_ += to_string(f);
    }
  }

  std::string text_ = "(";
};

}  // namespace

std::string to_string(const LayerField& field) {
  if (const auto* size = std::get_if<std::int64_t>(&field.value)) return detail::join_text({*size});
  if (const auto* truth = std::get_if<bool>(&field.value)) return *truth ? "true" : "false";
  if (const auto* number = std::get_if<double>(&field.value)) return detail::join_text({*number});
  if (const auto* word = std::get_if<std::string>(&field.value)) return *word;
  return detail::join_text({detail::TextPart::list(std::get<std::vector<std::int64_t>>(field.value))});
}

std::string detail::printed(const std::function<void(LayerVisitor&)>& describe) {
  Printer printer;
  describe(printer);
  return std::move(printer).text();
}

std::string to_string(const Layer& layer) {
  return detail::printed([&](LayerVisitor& visitor) { layer.describe(visitor); });
}

}  // namespace bytegate
