#include <bytegate/conv1d.h>
#include <bytegate/layers.h>
#include <bytegate/norms.h>

#include <cmath>

#include "layers/core/checks.h"
#include "layers/core/float_environment.h"
#include "layers/kinds.h"

namespace bytegate {

ChannelAffine BatchNorm1d::affine() const {
  const detail::FloatEnvironment environment;
  const Shape& shape = running_mean.shape;
  detail::check_shape(shape.rank() == 1, "BatchNorm1d: running_mean", shape, "[channels]");
  const auto values = [&](const Tensor& tensor, const char* what) {
    detail::check_shape(tensor.shape == shape, what, tensor.shape, shape);
    return tensor.view().data;
  };
  const float* mean = values(running_mean, "BatchNorm1d: running_mean");
  const float* var = values(running_var, "BatchNorm1d: running_var");
  const float* w = weight.data.empty() ? nullptr : values(weight, "BatchNorm1d: the weight");
  const float* b = bias.data.empty() ? nullptr : values(bias, "BatchNorm1d: the bias");
  ChannelAffine result;
  for (std::size_t i = 0; i < running_mean.data.size(); ++i) {
    const double denominator = std::sqrt(static_cast<double>(var[i]) + eps);
    if (!(denominator > 0) || !std::isfinite(denominator)) {
      detail::throw_error(ErrorCode::invalid_argument, {"BatchNorm1d: running_var + eps of channel ", i, " is ",
                                                        static_cast<double>(var[i]) + eps, ", not above 0"});
    }
    const double scale = (w ? static_cast<double>(w[i]) : 1.0) / denominator;
    result.scale.push_back(scale);
    result.shift.push_back((b ? static_cast<double>(b[i]) : 0.0) - static_cast<double>(mean[i]) * scale);
  }
  return result;
}

namespace {

/// What a layer becomes: `bias` is changed, or made of zeros where there is none.
template <class L>
Weight fold_weight(const L& layer, std::int64_t channels, const BatchNorm1d& norm, Tensor& bias) {
  if (layer.quantized())
    detail::throw_error(ErrorCode::invalid_argument, {"fold_batch_norm: the layer is int8; fold before quantizing"});
  const ChannelAffine affine = norm.affine();
  const Shape expected{channels};
  detail::check_shape(norm.running_mean.shape == expected, "BatchNorm1d: running_mean", norm.running_mean.shape,
                      expected);
  bias = layer.bias().value_or(Tensor(expected));
  const detail::FloatEnvironment environment;
  for (std::size_t i = 0; i < bias.data.size(); ++i)
    bias.data[i] = static_cast<float>(static_cast<double>(bias.data[i]) * affine.scale[i] + affine.shift[i]);
  return layer.weight().with_rows_scaled(affine.scale);
}

}  // namespace

Linear fold_batch_norm(const Linear& layer, const BatchNorm1d& norm) {
  if (layer.relu())
    detail::throw_error(ErrorCode::invalid_argument, {"fold_batch_norm: a ReLU is between the Linear and the norm"});
  Tensor bias;
  const Weight weight = fold_weight(layer, layer.out_features(), norm, bias);
  return Linear(weight, bias.view(), {}, false, &layer.backend());
}

Conv1d fold_batch_norm(const Conv1d& layer, const BatchNorm1d& norm) {
  Tensor bias;
  const Weight weight = fold_weight(layer, layer.config().out_channels, norm, bias);
  return Conv1d(layer.config(), weight, bias.view(), {}, &layer.backend());
}

ChannelAffine detail::fold_batch_norm1d(LayerSource& source) {
  BatchNorm1d norm;
  const bool affine = source.flag("affine", true, "weight");
  if (!source.flag("track_running_stats", true, "running_mean"))
    source.fail({"has no running_mean, so it normalizes by the statistics of each batch, which cannot be folded"});
  const Shape shape{source.size("num_features", "running_mean", 0, 1)};
  source.ignore("momentum");
  source.ignore_tensor("num_batches_tracked");
  norm.eps = source.number("eps", 1e-5);
  norm.running_mean = source.floats("running_mean", shape);
  norm.running_var = source.floats("running_var", shape);
  if (affine) {
    norm.weight = source.floats("weight", shape);
    norm.bias = source.floats("bias", shape);
  }
  return norm.affine();
}

}  // namespace bytegate
