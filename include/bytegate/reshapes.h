// Layers that move elements and compute nothing.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <span>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

/// [D0, D1, ...] -> [D0, D1 * ...]: view(out.size(0), -1).
class Flatten final : public Layer {
 public:
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;
  bool only_reshapes() const noexcept override { return true; }
};

/// The last time step: x[-1] of [T, ...], or x[:, -1] of [B, T, ...] with batch_first. The time dimension goes.
class LastStep final : public Layer {
 public:
  explicit LastStep(bool batch_first = false) noexcept : batch_first_(batch_first) {}

  /// The last step that each sequence has: x [T, B, ...] ([B, T, ...] with batch_first) -> y [B, ...]. lengths [B], 1
  /// to T each; empty: T. Throws Error (shape_mismatch, invalid_argument) for others.
  void forward(ConstTensorView x, TensorView y, std::span<const std::int64_t> lengths = {}) const;

  bool batch_first() const noexcept { return batch_first_; }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state,
               std::span<const std::int64_t> lengths) const override;
  std::int64_t output_steps(std::int64_t) const override { return 1; }
  void describe(LayerVisitor& visitor) const override;

 private:
  bool batch_first_;
};

/// torch.permute: dimension i of y is dimension dims[i] of x.
class Permute final : public Layer {
 public:
  /// Throws Error (invalid_argument) unless dims has each of 0 to its size - 1 once, and 1 to Shape::kMaxRank in all.
  explicit Permute(std::vector<std::int64_t> dims);

  void forward(ConstTensorView x, TensorView y) const;

  const std::vector<std::int64_t>& dims() const noexcept { return dims_; }
  Shape output_shape(const Shape& x) const override;
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState* state) const override;
  void describe(LayerVisitor& visitor) const override;

 private:
  std::vector<std::int64_t> dims_;
};

}  // namespace bytegate
#pragma GCC visibility pop
