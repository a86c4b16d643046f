// Shapes, tensors and views of them. Dense, row-major, float32 (indices: int64).
#pragma once

#include <bytegate/error.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// The sizes of a tensor's dimensions, at most kMaxRank of them; allocates nothing.
class Shape {
 public:
  static constexpr std::size_t kMaxRank = 8;

  Shape() = default;
  /// Throws Error (invalid_argument) for more than kMaxRank dimensions, a negative one, or more than 2^62 elements.
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  std::size_t rank() const noexcept { return rank_; }
  std::int64_t operator[](std::size_t i) const noexcept { return dims_[i]; }
  /// The last dimension; 1 for a shape without dimensions.
  std::int64_t back() const noexcept { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  std::size_t elements() const noexcept;
  /// The same shape with another last dimension. Throws Error (shape_mismatch) for a shape without dimensions.
  Shape with_back(std::int64_t dim) const;
  std::span<const std::int64_t> dims() const noexcept { return {dims_.data(), rank_}; }
  bool operator==(const Shape& other) const noexcept;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

/// "[20, 1, 64]"
std::string to_string(const Shape& shape);

/// A view of floats that somebody else owns. A null `data` stands for "none" where a tensor is optional.
struct ConstTensorView {
  const float* data = nullptr;
  Shape shape;
};

struct TensorView {
  float* data = nullptr;
  Shape shape;
  operator ConstTensorView() const noexcept { return {data, shape}; }
};

/// Indices (of an Embedding's rows) that somebody else owns.
struct IndexView {
  const std::int64_t* data = nullptr;
  Shape shape;
};

/// A tensor that owns its floats.
struct Tensor {
  Shape shape;
  std::vector<float> data;

  Tensor() = default;
  explicit Tensor(const Shape& s) : shape(s), data(s.elements()) {}
  /// Throws Error (shape_mismatch) if the number of values is not that of the shape.
  Tensor(const Shape& s, std::vector<float> values);

  /// Throws Error (shape_mismatch) if `data` does not have shape.elements() values (any more).
  TensorView view() {
    check_size();
    return {data.data(), shape};
  }
  ConstTensorView view() const {
    check_size();
    return {data.data(), shape};
  }

 private:
  void check_size() const;
};

}  // namespace bytegate
#pragma GCC visibility pop
