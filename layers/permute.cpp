#include <bytegate/reshapes.h>

#include <algorithm>
#include <array>

#include "layers/core/checks.h"
#include "layers/core/transpose.h"
#include "layers/kinds.h"

namespace bytegate {

Permute::Permute(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {
  std::vector<std::int64_t> sorted = dims_;
  std::ranges::sort(sorted);
  bool ok = !dims_.empty() && dims_.size() <= Shape::kMaxRank;
  for (std::size_t i = 0; i < sorted.size(); ++i) ok = ok && sorted[i] == static_cast<std::int64_t>(i);
  if (ok) return;
  detail::throw_error(ErrorCode::invalid_argument,
                      {"Permute: dims is ", detail::TextPart::list(dims_),
                       "; a permutation of [0, 1, ...] is accepted, of at most ", Shape::kMaxRank, " dimensions"});
}

Shape Permute::output_shape(const Shape& x) const {
  if (x.rank() != dims_.size()) {
    detail::check_shape(false, "Permute: the input", x, detail::join_text({dims_.size(), " dimensions"}));
  }
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  for (std::size_t i = 0; i < dims_.size(); ++i) dims[i] = x[static_cast<std::size_t>(dims_[i])];
  return Shape(std::span<const std::int64_t>(dims.data(), dims_.size()));
}

void Permute::forward(ConstTensorView x, TensorView y) const {
  const Shape shape = output_shape(x.shape);
  if (!(y.shape == shape)) detail::check_shape(false, "Permute: the output", y.shape, shape);
  detail::check_data(x.data, "Permute: the input", x.shape);
  detail::check_data(y.data, "Permute: the output", y.shape);
  if (shape.elements() == 0) return;
  const std::size_t rank = dims_.size();
  std::array<std::size_t, Shape::kMaxRank> strides{};  // of y's dimensions, in x
  for (std::size_t i = 0; i < rank; ++i) {
    strides[i] = 1;
    for (auto d = static_cast<std::size_t>(dims_[i]) + 1; d < rank; ++d)
      strides[i] *= static_cast<std::size_t>(x.shape[d]);
  }
  // The last two dimensions at a time, as a matrix; the ones before them count up.
  const std::size_t outer = rank < 2 ? 0 : rank - 2;
  const auto cols = static_cast<std::size_t>(shape.back());
  const std::size_t rows = rank < 2 ? 1 : static_cast<std::size_t>(shape[rank - 2]), row_stride = strides[outer];
  std::array<std::int64_t, Shape::kMaxRank> at{};
  float* out = y.data;
  for (const float* const end = y.data + shape.elements(); out != end; out += rows * cols) {
    std::size_t from = 0;
    for (std::size_t i = 0; i < outer; ++i) from += static_cast<std::size_t>(at[i]) * strides[i];
    detail::copy_matrix(x.data + from, row_stride, strides[rank - 1], rows, cols, out, cols);
    for (std::size_t i = outer; i-- > 0;) {
      if (++at[i] < shape[i]) break;
      at[i] = 0;
    }
  }
}
void Permute::forward(ConstTensorView x, TensorView y, Workspace&, LayerState*) const { forward(x, y); }

void Permute::describe(LayerVisitor& visitor) const {
  visitor.begin("permute", "Permute");
  visitor.field({"dims", dims_, LayerField::Print::named});
}

LayerPtr detail::make_permute(LayerSource& source) { return detail::own(new Permute(source.list("dims"))); }

}  // namespace bytegate
