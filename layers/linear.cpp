#include <bytegate/layers.h>

#include <algorithm>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/core/range.h"
#include "layers/core/workspace_impl.h"
#include "layers/kinds.h"
#include "layers/quant/activation_quantizer.h"
#include "layers/quant/packed_weights.h"

namespace bytegate {
namespace detail {
namespace {

/// Bytes of activations staged at once: a part of a private L2 cache, so that they stay there while all the weights
/// pass.
constexpr std::size_t kStagedBytes = 256 * 1024;
/// A product of fewer multiply-adds is not worth waking a thread.
constexpr std::size_t kMinMacs = std::size_t{4} << 20;

const Kernels& kernels_of(const Backend& backend, const Weight& weight) {
  return weight.quantized() ? *backend.kernels->int8 : *backend.kernels->f32;
}

}  // namespace

class LinearCore {
 public:
  [[gnu::cold]] LinearCore(const Weight& weight, ConstTensorView bias, const Scheme& how, bool fused_relu,
                           const Backend* on)
      : backend(&check_backend(on)),
        scheme(weight.quantized() ? std::optional(how) : std::nullopt),
        relu(fused_relu),
        has_bias(bias.data != nullptr),
        kernels_(kernels_of(*backend, weight)),
        weights(kernels_, kernels_.layout,
                ChannelOrder::identity(kernels_.layout, static_cast<std::size_t>(weight.rows())), weight,
                {bias.data, has_bias ? bias.shape.elements() : 0}, scheme && scheme->is_torch()) {}

  void forward(ConstTensorView x, TensorView y, WorkspaceImpl& workspace) const;

  std::int64_t in_features() const noexcept { return static_cast<std::int64_t>(weights.view().k); }
  std::int64_t out_features() const noexcept { return static_cast<std::int64_t>(weights.view().n); }
  Shape output_shape(const Shape& x) const {
    if (x.rank() == 0 || x.back() != in_features()) {
      fail_input(x);
    }
    return x.with_back(out_features());
  }

  [[noreturn, gnu::cold, gnu::noinline]] void fail_input(const Shape& x) const {
    check_shape(false, "Linear: the input", x, join_text({"[..., ", in_features(), "]"}));
    __builtin_unreachable();
  }

  const Backend* const backend;
  const std::optional<Scheme> scheme;  ///< none: float
  const bool relu;
  const bool has_bias;

 private:
  const Kernels& kernels_;

 public:
  const PackedWeights weights;

 private:
  StagedRows stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const;
  std::size_t block_rows() const noexcept;
  RowRange find_range(const float* x, std::size_t rows, WorkspaceImpl& workspace) const;
  void forward_part(const float* x, float* y, Range rows, Range panels, const ActivationQuantizer& quantizer,
                    WorkspaceImpl& workspace) const;
};

void LinearCore::forward(ConstTensorView x, TensorView y, WorkspaceImpl& workspace) const {
  const Shape expected = output_shape(x.shape);
  if (!(y.shape == expected)) check_shape(false, "Linear: the output", y.shape, expected);
  check_data(x.data, "Linear: the input", x.shape);
  check_data(y.data, "Linear: the output", y.shape);
  const std::size_t k = weights.view().k, n = weights.view().n;
  const std::size_t rows = k > 0 ? x.shape.elements() / k : n > 0 ? y.shape.elements() / n : 0;
  if (rows == 0 || n == 0) return;

  const FloatEnvironment environment;
  ActivationQuantizer quantizer(kernels_, scheme);
  const bool per_tensor = quantizer.per_tensor();
  if (per_tensor) quantizer.fit(find_range(x.data, rows, workspace));
  const std::size_t max = workspace.usable_threads(), panels = weights.panels();
  const bool by_rows = per_tensor || rows >= 2 * kernels_.mr * max;
  const std::size_t threads = per_tensor || rows * k * n < kMinMacs ? 1 : by_rows ? max : std::min(max, panels);
  for (std::size_t i = 0; i < threads; ++i) stage_buffer(std::min(rows, block_rows()), workspace.of_thread(i));
  workspace.run(threads, [&](std::size_t i) {
    const Range m = by_rows ? split_range(rows, i, threads, kernels_.mr) : Range{0, rows};
    const Range p = by_rows ? Range{0, panels} : split_range(panels, i, threads);
    forward_part(x.data, y.data, m, p, quantizer, workspace.of_thread(i));
  });
}

StagedRows LinearCore::stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const {
  const std::size_t stride = weights.lhs_stride();
  return {workspace.get<std::byte>(Slot::staged_input, rows * stride), stride,
          workspace.get<RowScale>(Slot::input_scales, rows), 0};
}

std::size_t LinearCore::block_rows() const noexcept {
  const std::size_t mr = kernels_.mr;
  return std::clamp<std::size_t>(kStagedBytes / weights.lhs_stride(), 16, 512) / mr * mr + mr;
}

RowRange LinearCore::find_range(const float* x, std::size_t rows, WorkspaceImpl& workspace) const {
  const std::size_t k = weights.view().k, block = std::min(rows, block_rows());
  RowRange range{0, 0};
  RowRange* ranges = workspace.get<RowRange>(Slot::ranges, block);
  for (std::size_t m = 0; m < rows; m += block) {
    const FloatRows part{x + m * k, k, std::min(block, rows - m), k};
    kernels_.find_ranges(&part, ranges);
    range = merge(ranges, part.rows, range);
  }
  return range;
}

void LinearCore::forward_part(const float* x, float* y, Range rows, Range panels, const ActivationQuantizer& quantizer,
                              WorkspaceImpl& workspace) const {
  const std::size_t k = weights.view().k, n = weights.view().n, block = std::min(rows.size(), block_rows());
  const bool torch = quantizer.per_tensor();
  StagedRows staged = stage_buffer(block, workspace);
  float* scratch = torch ? workspace.get<float>(Slot::torch_row, k) : nullptr;
  for (std::size_t row = rows.begin; row < rows.end; row += block) {
    const FloatRows part{x + row * k, k, std::min(block, rows.end - row), k};
    quantizer.stage(part, nullptr, staged, scratch);
    const GemmArgs args{staged, weights.view(), y + row * n, n, n, panels.begin, panels.end, relu && !torch};
    kernels_.gemm(&args);
    if (!torch) continue;
    torch_dequantize(y + row * n, part.rows, n, quantizer.tensor(), weights.scales(), weights.bias(), relu);
  }
}

namespace {

[[gnu::cold]] std::shared_ptr<const LinearCore> make_core(const Weight& weight, ConstTensorView bias,
                                                          const Scheme& scheme, bool relu, const Backend* backend) {
  if (bias.data) {
    const Shape expected{weight.rows()};
    check_shape(bias.shape == expected, "Linear: the bias", bias.shape, expected);
    if (weight.quantized()) check_finite({bias.data, bias.shape.elements()}, "Linear: the bias");
  }
  return std::make_shared<const LinearCore>(weight, bias, scheme, relu, backend);
}

[[gnu::cold]] Weight view_weight(ConstTensorView weight) {
  check_shape(weight.shape.rank() == 2, "Linear: the weight", weight.shape, "[out_features, in_features]");
  check_data(weight.data, "Linear: the weight", weight.shape);
  return Weight::view(weight);
}

}  // namespace
}  // namespace detail

[[gnu::cold]] Linear::Linear(ConstTensorView weight, ConstTensorView bias, bool relu, const Backend* backend)
    : core_(detail::make_core(detail::view_weight(weight), bias, {}, relu, backend)) {}

[[gnu::cold]] Linear::Linear(const Weight& weight, ConstTensorView bias, const Scheme& scheme, bool relu,
                             const Backend* backend)
    : core_(detail::make_core(weight, bias, scheme, relu, backend)) {}

[[gnu::cold]] Linear Linear::from_float(const Linear& linear, const Scheme& scheme, const Backend* backend) {
  if (linear.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"Linear::from_float: the layer is int8 already"});
  const std::optional<Tensor> bias = linear.bias();
  return {Weight::quantizing(linear.weight(), scheme), bias ? bias->view() : ConstTensorView{}, scheme, linear.relu(),
          backend ? backend : &linear.backend()};
}

[[gnu::cold]] LayerPtr Linear::quantize_dynamic(const Scheme& scheme, const Backend* backend) const {
  return quantized() ? nullptr : std::make_shared<const Linear>(from_float(*this, scheme, backend));
}

void Linear::forward(ConstTensorView x, TensorView y, Workspace& workspace) const {
  core_->forward(x, y, workspace.impl());
}
void Linear::forward(ConstTensorView x, TensorView y, Workspace& workspace, LayerState*) const {
  core_->forward(x, y, workspace.impl());
}
[[gnu::cold]] Tensor Linear::forward(const Tensor& x) const {
  Workspace workspace;
  Tensor y(output_shape(x.shape));
  forward(x.view(), y.view(), workspace);
  return y;
}

std::int64_t Linear::in_features() const noexcept { return core_->in_features(); }
std::int64_t Linear::out_features() const noexcept { return core_->out_features(); }
bool Linear::relu() const noexcept { return core_->relu; }
bool Linear::quantized() const noexcept { return core_->scheme.has_value(); }
const std::optional<Scheme>& Linear::scheme() const noexcept { return core_->scheme; }
[[gnu::cold]] Weight Linear::weight() const { return core_->weights.unpack(core_); }
[[gnu::cold]] std::optional<Tensor> Linear::bias() const {
  if (!core_->has_bias) return std::nullopt;
  return Tensor(Shape{out_features()}, core_->weights.unpack_bias());
}
const Backend& Linear::backend() const noexcept { return *core_->backend; }
Shape Linear::output_shape(const Shape& x) const { return core_->output_shape(x); }

namespace {

/// A Linear's fields.
struct LinearFields {
  std::int64_t in_features;
  std::int64_t out_features;
  bool bias;
  bool relu;
};

[[gnu::cold]] void describe_linear(const LinearFields& fields, bool quantized, LayerVisitor& visitor) {
  using Print = LayerField::Print;
  visitor.begin("linear", quantized ? "DynamicQuantizedLinear" : "Linear");
  visitor.field({"in_features", fields.in_features, Print::named});
  visitor.field({"out_features", fields.out_features, Print::named});
  visitor.field({"bias", fields.bias, quantized ? Print::never : Print::named, fields.bias});
  visitor.field({"relu", fields.relu, Print::named_unless_default, !fields.relu});
}

[[gnu::cold]] LinearFields read_linear_fields(LayerSource& source) {
  return {source.size("in_features", "weight", 1), source.size("out_features", "weight", 0),
          source.flag("bias", true, "bias"), source.flag("relu", false)};
}

}  // namespace

[[gnu::cold]] void Linear::describe(LayerVisitor& visitor) const {
  describe_linear({in_features(), out_features(), core_->has_bias, relu()}, quantized(), visitor);
  if (quantized()) {
    visitor.field({"dtype", "qint8", LayerField::Print::named});
    visitor.field({"qscheme", detail::qscheme(*scheme()), LayerField::Print::named, false, false});
    visitor.scheme(*scheme());
  }
  visitor.weight("weight", weight());
  if (const std::optional<Tensor> b = bias()) visitor.tensor("bias", *b);
}

[[gnu::cold]] LayerPtr detail::make_linear(LayerSource& source) {
  const LinearFields fields = read_linear_fields(source);
  Tensor bias;
  if (fields.bias) bias = source.floats("bias", Shape{fields.out_features});
  const Weight weight = source.weight("weight", fields.out_features, fields.in_features);
  const Scheme scheme = weight.quantized() ? source.scheme() : Scheme();
  return std::make_shared<const Linear>(weight, fields.bias ? bias.view() : ConstTensorView{}, scheme, fields.relu,
                                        source.backend());
}

[[gnu::cold]] LayerOutline detail::outline_linear(LayerSource& source) {
  const LinearFields fields = read_linear_fields(source);
  source.weight("weight", fields.out_features, fields.in_features);
  if (fields.bias) source.floats("bias", Shape{fields.out_features});
  check_lone_matrix(source, fields.out_features, fields.in_features);
  const auto describe = [&](LayerVisitor& visitor) { describe_linear(fields, false, visitor); };
  return {printed(describe), fields.in_features, fields.out_features};
}

}  // namespace bytegate
