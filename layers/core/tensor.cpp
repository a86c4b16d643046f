#include <bytegate/tensor.h>

#include <algorithm>

namespace bytegate {

Shape::Shape(std::span<const std::int64_t> dims) : rank_(dims.size()) {
  if (dims.size() > kMaxRank) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"a shape of ", dims.size(), " dimensions: at most ", kMaxRank, " are accepted"});
  }
  constexpr std::int64_t limit = std::int64_t{1} << 62;
  std::int64_t elements = 1;  // of the dimensions that are not 0, so that no product of a part can overflow either
  for (std::size_t i = 0; i < rank_; ++i) {
    if (dims[i] < 0 || (dims[i] > 0 && dims[i] > limit / elements)) {
      detail::throw_error(ErrorCode::invalid_argument,
                          {"a dimension of ", dims[i], ": sizes are 0 or more, 2^62 elements at most"});
    }
    elements *= std::max<std::int64_t>(dims[i], 1);
    dims_[i] = dims[i];
  }
}

std::size_t Shape::elements() const noexcept {
  std::size_t product = 1;
  for (std::size_t i = 0; i < rank_; ++i) product *= static_cast<std::size_t>(dims_[i]);
  return product;
}

Shape Shape::with_back(std::int64_t dim) const {
  if (rank_ == 0) detail::throw_error(ErrorCode::shape_mismatch, {"a shape without dimensions, expected at least one"});
  Shape shape = *this;
  shape.dims_[rank_ - 1] = dim;
  return Shape(shape.dims());
}

bool Shape::operator==(const Shape& other) const noexcept { return std::ranges::equal(dims(), other.dims()); }

std::string to_string(const Shape& shape) { return detail::join_text({detail::TextPart::list(shape.dims())}); }

Tensor::Tensor(const Shape& s, std::vector<float> values) : shape(s), data(std::move(values)) { check_size(); }

void Tensor::check_size() const {
  const bool none = shape.rank() == 0 && data.empty();  // as it was default-constructed
  if (!none && data.size() != shape.elements()) {
    detail::throw_error(ErrorCode::shape_mismatch, {data.size(), " values for a tensor of shape ", to_string(shape)});
  }
}

}  // namespace bytegate
