// A call of a Linear.
#include <algorithm>

#include "layers/core/checks.h"
#include "layers/linear_core.h"

namespace bytegate {
namespace detail {
namespace {

/// The rows of a dense input.
class LinearRows final : public ProductRows {
 public:
  LinearRows(const float* x, float* y, std::size_t rows, std::size_t k, std::size_t n)
      : x_(x), y_(y), rows_(rows), k_(k), n_(n) {}

 private:
  void reserve(std::size_t, WorkspaceImpl&) const override {}
  RowRange range(const Kernels& kernels, WorkspaceImpl& workspace) const override {
    return range_of_rows(kernels, x_, rows_, k_, workspace);
  }
  void stage(std::size_t first, std::size_t count, const ActivationQuantizer& quantizer, StagedRows& out,
             float* scratch, WorkspaceImpl&) const override {
    quantizer.stage({x_ + first * k_, k_, count, k_}, nullptr, out, scratch);
  }
  std::span<const float> inputs(std::size_t first, std::size_t count) const override {
    return {x_ + first * k_, count * k_};
  }
  float* results(std::size_t first, std::size_t, WorkspaceImpl&) const override { return y_ + first * n_; }

  const float* x_;
  float* y_;
  std::size_t rows_, k_, n_;
};

}  // namespace

Shape LinearCore::output_shape(const Shape& x) const {
  check_input(x);
  return x.with_back(out_features());
}

void LinearCore::forward(ConstTensorView x, TensorView y, const Layer* next, WorkspaceImpl& workspace) const {
  check_input(x.shape);
  const std::span<const std::int64_t> in = x.shape.dims(), out = y.shape.dims();
  if (out.size() != in.size() || out.back() != out_features() || !std::equal(in.begin(), in.end() - 1, out.begin())) {
    check_shape(false, "Linear: the output", y.shape, output_shape(x.shape));
  }
  check_data(x.data, "Linear: the input", x.shape);
  check_data(y.data, "Linear: the output", y.shape);
  const std::size_t rows = k() > 0 ? x.shape.elements() / k() : n() > 0 ? y.shape.elements() / n() : 0;
  run(LinearRows(x.data, y.data, rows, k(), n()), rows, next, workspace);
}

}  // namespace detail

void Linear::forward(ConstTensorView x, TensorView y, Workspace& workspace) const {
  core_->forward(x, y, nullptr, workspace.impl());
}
void Linear::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState*) const {
  core_->forward(x, y, nullptr, workspace.impl());
}
void Linear::forward_then(ConstTensorView x, TensorView y, Workspace& workspace, LayerState*,
                          std::span<const std::int64_t>, const Layer& next) const {
  core_->forward(x, y, &next, workspace.impl());
}

}  // namespace bytegate
