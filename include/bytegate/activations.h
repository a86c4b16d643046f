// Activation functions as layers. They have no weights, and most apply one function to every element.
#pragma once

#include <bytegate/layer.h>

#include <cstddef>

#pragma GCC visibility push(default)
namespace bytegate {

/// What the elementwise layers share: they accept every shape. In a Sequential, one that follows a Linear is applied to
/// parts of the Linear's output while they are in the cache.
class Elementwise : public Layer {
 public:
  /// y has the shape of x, and may be x. Throws Error (shape_mismatch, invalid_argument) for another shape or null
  /// data.
  void forward(ConstTensorView x, TensorView y) const;

  Shape output_shape(const Shape& x) const override { return x; }
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  bool elementwise() const noexcept override { return true; }

 protected:
  /// `name` is the layer's in messages.
  explicit Elementwise(const char* name) noexcept : name_(name) {}

 private:
  const char* name_;
};

/// y = max(0, x); NaN stays NaN.
class ReLU final : public Elementwise {
 public:
  ReLU() noexcept : Elementwise("ReLU") {}
  void apply(const float* x, float* y, std::size_t n) const noexcept override;
  void describe(LayerVisitor& visitor) const override;
};

/// y = x where x > 0, else float(negative_slope) * x, as torch.nn.LeakyReLU.
class LeakyReLU final : public Elementwise {
 public:
  /// Throws Error (invalid_argument) unless negative_slope is finite.
  explicit LeakyReLU(double negative_slope = 0.01);
  double negative_slope() const noexcept { return negative_slope_; }
  void apply(const float* x, float* y, std::size_t n) const noexcept override;
  void describe(LayerVisitor& visitor) const override;

 private:
  double negative_slope_;
};

/// y = x where x > 0, else float(alpha) * (e^x - 1), as torch.nn.ELU.
class ELU final : public Elementwise {
 public:
  /// Throws Error (invalid_argument) unless alpha is finite.
  explicit ELU(double alpha = 1.0);
  double alpha() const noexcept { return alpha_; }
  void apply(const float* x, float* y, std::size_t n) const noexcept override;
  void describe(LayerVisitor& visitor) const override;

 private:
  double alpha_;
};

/// y = 1 / (1 + e^-x), by the function that an LSTM's gates have (docs/numerics.md). It runs on the backend that it is
/// bound to; null means default_backend().
class Sigmoid final : public Elementwise {
 public:
  explicit Sigmoid(const Backend* backend = nullptr);
  void apply(const float* x, float* y, std::size_t n) const noexcept override;
  void describe(LayerVisitor& visitor) const override;

 private:
  const Backend* backend_;
};

/// y = tanh(x), likewise.
class Tanh final : public Elementwise {
 public:
  explicit Tanh(const Backend* backend = nullptr);
  void apply(const float* x, float* y, std::size_t n) const noexcept override;
  void describe(LayerVisitor& visitor) const override;

 private:
  const Backend* backend_;
};

/// e^x / sum(e^x) over the last dimension, as torch.nn.Softmax(dim=-1). The largest element is subtracted first, so
/// that nothing overflows. A row with NaN or +infinity, or of -infinity alone, is NaN; it touches no other row.
class Softmax final : public Layer {
 public:
  /// x [..., n], y of the same shape; y may be x. Throws Error (shape_mismatch) for x without dimensions.
  void forward(ConstTensorView x, TensorView y) const;

  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;
};

/// log(softmax(x)) over the last dimension, as torch.nn.LogSoftmax(dim=-1), with the same rows of NaN.
class LogSoftmax final : public Layer {
 public:
  /// As Softmax::forward.
  void forward(ConstTensorView x, TensorView y) const;

  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;
};

}  // namespace bytegate
#pragma GCC visibility pop
