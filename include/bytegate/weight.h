// Weight matrices: int8 with scales, and the matrices that layers are made from.
#pragma once

#include <bytegate/config.h>
#include <bytegate/scheme.h>
#include <bytegate/tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// An int8 matrix as it is stored: row-major, w ~ scale * q.
struct QuantizedWeight {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<std::int8_t> data;  ///< [rows, cols]
  std::vector<float> scales;      ///< [rows], or [1] for one scale of the whole matrix
};

/// A matrix from which a layer is made: float32 or int8, in memory or read in pieces while the layer packs it, so that
/// a file is never held in memory a second time. A default one is empty and stands for "no such matrix".
class Weight {
 public:
  /// Writes rows [first, first + count), row-major, to `out`. It is called with ascending ranges that may repeat.
  using FloatReader = std::function<void(std::int64_t first, std::int64_t count, float* out)>;
  using Int8Reader = std::function<void(std::int64_t first, std::int64_t count, std::int8_t* out)>;

  Weight();
  Weight(const Weight&);
  Weight(Weight&&) noexcept;
  Weight& operator=(const Weight&);
  Weight& operator=(Weight&&) noexcept;
  ~Weight();
  /// A float matrix [rows, cols]. An empty tensor makes an empty weight.
  Weight(Tensor weight);
  Weight(QuantizedWeight weight);
  Weight(std::int64_t rows, std::int64_t cols, FloatReader read);
  Weight(std::int64_t rows, std::int64_t cols, std::vector<float> scales, Int8Reader read);
  /// A float matrix quantized by the scheme while it is read. Reading throws Error (invalid_argument) for NaN or
  /// infinity.
  static Weight quantizing(Weight floats, const Scheme& scheme);
  /// A view of a float matrix [rows, cols] that must outlive the weight.
  static Weight view(ConstTensorView weight);

  std::int64_t rows() const noexcept { return rows_; }
  std::int64_t cols() const noexcept { return cols_; }
  /// Of the tensor that a file holds for the matrix: [rows, cols] unless it was made by with_shape.
  Shape shape() const { return shape_.rank() == 0 ? Shape{rows_, cols_} : shape_; }
  bool empty() const noexcept { return !floats_ && !int8s_; }
  bool quantized() const noexcept { return static_cast<bool>(int8s_); }
  /// [rows] or [1]; empty for a float matrix. Those of Weight::quantizing are known once their rows have been read.
  const std::vector<float>& scales() const noexcept { return *scales_; }

  /// The same matrix for a tensor of that shape: [rows, ...] with as many elements.
  Weight with_shape(const Shape& shape) const;
  /// Each row, a matrix [m, cols / m], transposed; read through this weight. m divides the columns.
  Weight with_rows_transposed(std::int64_t m) const;

  /// The rows of a float matrix, each times its factor in double, read through this weight. [rows] factors.
  Weight with_rows_scaled(std::vector<double> factors) const;

  /// Rows [first, first + count) into `out`. The weight must be of that type.
  void read(std::int64_t first, std::int64_t count, float* out) const { floats_(first, count, out); }
  void read(std::int64_t first, std::int64_t count, std::int8_t* out) const { int8s_(first, count, out); }

  /// The whole matrix. Throws Error (invalid_argument) if it is not of that type.
  Tensor floats() const;
  QuantizedWeight int8s() const;

 private:
  static std::shared_ptr<const std::vector<float>> no_scales();

  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  Shape shape_{};
  std::shared_ptr<const std::vector<float>> scales_;
  FloatReader floats_;
  Int8Reader int8s_;
};

/// Quantizes a float matrix [rows, cols] by the scheme. Throws Error (invalid_argument) for NaN or infinity.
QuantizedWeight quantize_weight(ConstTensorView weight, const Scheme& scheme);
/// The same for a matrix that is read in pieces.
QuantizedWeight quantize_weight(const Weight& weight, const Scheme& scheme);

}  // namespace bytegate
#pragma GCC visibility pop
