#include <algorithm>

#include "layers/staging.h"
#include "layers/workspace_impl.h"

namespace bytegate {
namespace detail {

/// Both Linear layers: packed weights, and how activations are staged for them.
class LinearCore {
 public:
  const Backend* backend;
  std::optional<Scheme> scheme;  ///< none: float
  bool relu;
  bool has_bias;
  std::vector<std::int64_t> order;
  PackedWeights weights;

  template <class Weight>
  LinearCore(const Backend& on, const Kernels& kernels, const Weight& weight, std::int64_t rows, ConstTensorView bias, bool fused_relu,
             std::optional<Scheme> how)
      : backend(&on),
        scheme(how),
        relu(fused_relu),
        has_bias(bias.data != nullptr),
        order(plain_order(rows, kernels.nr)),
        weights(pack(kernels, weight, {bias.data, has_bias ? static_cast<std::size_t>(rows) : 0})) {}

  std::int64_t in_features() const noexcept { return static_cast<std::int64_t>(weights.view().k); }
  std::int64_t out_features() const noexcept { return static_cast<std::int64_t>(weights.view().n); }

  void forward(ConstTensorView x, TensorView y, WorkspaceImpl& workspace) const;

 private:
  PackedWeights pack(const Kernels& kernels, ConstTensorView weight, std::span<const float> b) const { return {kernels, weight, b, order}; }
  PackedWeights pack(const Kernels& kernels, const QuantizedWeight& weight, std::span<const float> b) const {
    return {kernels, weight, b, order, per_tensor(scheme)};
  }
  StagedRows stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const;
  std::size_t block_rows() const noexcept;
  TensorQuantizer whole_quantizer(const float* x, std::size_t rows, WorkspaceImpl& workspace) const;
  void forward_part(const float* x, float* y, Part m, Part p, const TensorQuantizer& whole, WorkspaceImpl& workspace) const;

 public:
  std::optional<Tensor> bias() const {
    if (!has_bias) return std::nullopt;
    return Tensor(Shape{out_features()}, weights.unpack_bias(order));
  }
};

/// Activation bytes staged at once: a part of a private L2 cache, so that they stay there while all the weights pass.
constexpr std::size_t kStagedBytes = 256 * 1024;
/// A product of fewer multiply-adds is not worth waking a thread.
constexpr std::size_t kLeastMacs = std::size_t{4} << 20;

void LinearCore::forward(ConstTensorView x, TensorView y, WorkspaceImpl& workspace) const {
  if (x.shape.rank() == 0 || x.shape.back() != in_features()) {
    check_shape(false, "Linear: the input", x.shape, ("[..., " + std::to_string(in_features()) + "]").c_str());
  }
  if (!(y.shape == x.shape.with_back(out_features()))) {
    check_shape(false, "Linear: the output", y.shape, to_string(x.shape.with_back(out_features())).c_str());
  }
  check_data(x.data, "Linear: the input", x.shape);
  check_data(y.data, "Linear: the output", y.shape);
  const std::size_t k = weights.view().k, n = weights.view().n;
  const std::size_t rows = k > 0 ? x.shape.elements() / k : n > 0 ? y.shape.elements() / n : 0;
  if (rows == 0 || n == 0) return;

  TensorQuantizer whole{};
  if (per_tensor(scheme)) whole = whole_quantizer(x.data, rows, workspace);
  const std::size_t most = workspace.num_threads(), panels = weights.panels();
  const bool by_rows = per_tensor(scheme) || rows >= 2 * weights.kernels().mr * most;
  const std::size_t threads = per_tensor(scheme) || rows * k * n < kLeastMacs ? 1 : by_rows ? most : std::min(most, panels);
  for (std::size_t i = 0; i < threads; ++i) stage_buffer(std::min(rows, block_rows()), workspace.of_thread(i));
  workspace.run(threads, [&](std::size_t i) {
    const Part m = by_rows ? part_of(rows, i, threads, weights.kernels().mr) : Part{0, rows};
    const Part p = by_rows ? Part{0, panels} : part_of(panels, i, threads);
    forward_part(x.data, y.data, m, p, whole, workspace.of_thread(i));
  });
}

StagedRows LinearCore::stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const {
  const std::size_t stride = weights.lhs_stride();
  return {workspace.get<std::byte>(Slot::staged_input, rows * stride), stride, workspace.get<RowScale>(Slot::input_scales, rows), 0};
}

std::size_t LinearCore::block_rows() const noexcept {
  const std::size_t mr = weights.kernels().mr;
  return std::clamp<std::size_t>(kStagedBytes / weights.lhs_stride(), 16, 512) / mr * mr + mr;
}

/// `torch`: the quantizer of the whole input.
TensorQuantizer LinearCore::whole_quantizer(const float* x, std::size_t rows, WorkspaceImpl& workspace) const {
  const std::size_t k = weights.view().k, block = std::min(rows, block_rows());
  RowRange range{0, 0};
  RowRange* ranges = workspace.get<RowRange>(Slot::ranges, block);
  for (std::size_t m = 0; m < rows; m += block) {
    const FloatRows part{x + m * k, k, std::min(block, rows - m), k};
    weights.kernels().find_ranges(&part, ranges);
    for (std::size_t i = 0; i < part.rows; ++i) range = merge(range, ranges[i]);
  }
  return torch_quantizer(range, scheme->activation_bits);
}

/// Rows `m` times the channels of panels `p`.
void LinearCore::forward_part(const float* x, float* y, Part m, Part p, const TensorQuantizer& whole, WorkspaceImpl& workspace) const {
  const Kernels& kernels = weights.kernels();
  const std::size_t k = weights.view().k, n = weights.view().n, block = std::min(m.end - m.begin, block_rows());
  StagedRows staged = stage_buffer(block, workspace);
  const bool fixed = per_tensor(scheme);
  for (std::size_t row = m.begin; row < m.end; row += block) {
    const FloatRows part{x + row * k, k, std::min(block, m.end - row), k};
    staged.rows = part.rows;
    if (fixed) {
      torch_stage(kernels, part, whole, staged, workspace.get<float>(Slot::torch_row, k));
    } else {
      kernels.stage_rows(&part, nullptr, nullptr, 0.0f, &staged);
    }
    const GemmArgs args{staged, weights.view(), y + row * n, n, n, p.begin, p.end, relu && !fixed};
    kernels.gemm(&args);
    if (fixed) torch_dequantize(y + row * n, part.rows, n, whole, weights.scales(), weights.bias(), relu);
  }
}

namespace {

void check_linear(const Shape& weight, ConstTensorView bias) {
  check_shape(weight.rank() == 2, "Linear: the weight", weight, "[out_features, in_features]");
  if (bias.data) check_shape(bias.shape == Shape{weight[0]}, "Linear: the bias", bias.shape, to_string(Shape{weight[0]}).c_str());
}

Tensor run(const LinearCore& core, const Tensor& x) {
  Workspace workspace;
  Tensor y(x.shape.rank() == 0 ? x.shape : x.shape.with_back(core.out_features()));
  core.forward(x.view(), y.view(), workspace.impl());
  return y;
}

}  // namespace
}  // namespace detail

Linear::Linear(ConstTensorView weight, ConstTensorView bias, bool relu, const Backend* backend) {
  detail::check_linear(weight.shape, bias);
  detail::check_data(weight.data, "Linear: the weight", weight.shape);
  const Backend& on = detail::or_default(backend);
  core_ = std::make_shared<detail::LinearCore>(on, on.kernels->f32, weight, weight.shape[0], bias, relu, std::nullopt);
}

void Linear::forward(ConstTensorView x, TensorView y, Workspace& workspace) const { core_->forward(x, y, workspace.impl()); }
Tensor Linear::forward(const Tensor& x) const { return detail::run(*core_, x); }
std::int64_t Linear::in_features() const noexcept { return core_->in_features(); }
std::int64_t Linear::out_features() const noexcept { return core_->out_features(); }
bool Linear::relu() const noexcept { return core_->relu; }
Tensor Linear::weight() const { return core_->weights.unpack_floats(core_->order); }
std::optional<Tensor> Linear::bias() const { return core_->bias(); }
const Backend& Linear::backend() const noexcept { return *core_->backend; }

DynamicQuantizedLinear::DynamicQuantizedLinear(const QuantizedWeight& weight, ConstTensorView bias, const Scheme& scheme, bool relu,
                                               const Backend* backend) {
  detail::check_quantized(weight, "Linear: the weight");
  detail::check_linear(Shape{weight.rows, weight.cols}, bias);
  if (bias.data) detail::check_finite({bias.data, bias.shape.elements()}, "Linear: the bias");
  const Backend& on = detail::or_default(backend);
  core_ = std::make_shared<detail::LinearCore>(on, on.kernels->int8, weight, weight.rows, bias, relu, scheme);
}

DynamicQuantizedLinear DynamicQuantizedLinear::from_float(const Linear& linear, const Scheme& scheme, const Backend* backend) {
  const std::optional<Tensor> bias = linear.bias();
  return {quantize_weight(linear.weight().view(), scheme), bias ? bias->view() : ConstTensorView{}, scheme, linear.relu(),
          backend ? backend : &linear.backend()};
}

void DynamicQuantizedLinear::forward(ConstTensorView x, TensorView y, Workspace& workspace) const {
  core_->forward(x, y, workspace.impl());
}
Tensor DynamicQuantizedLinear::forward(const Tensor& x) const { return detail::run(*core_, x); }
std::int64_t DynamicQuantizedLinear::in_features() const noexcept { return core_->in_features(); }
std::int64_t DynamicQuantizedLinear::out_features() const noexcept { return core_->out_features(); }
bool DynamicQuantizedLinear::relu() const noexcept { return core_->relu; }
const Scheme& DynamicQuantizedLinear::scheme() const noexcept { return *core_->scheme; }
QuantizedWeight DynamicQuantizedLinear::weight() const { return core_->weights.unpack_int8(core_->order); }
std::optional<Tensor> DynamicQuantizedLinear::bias() const { return core_->bias(); }
const Backend& DynamicQuantizedLinear::backend() const noexcept { return *core_->backend; }

}  // namespace bytegate
