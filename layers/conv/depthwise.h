// A convolution of each channel by itself. Plain C++: the same bits everywhere.
#pragma once

#include <bytegate/scheme.h>
#include <bytegate/weight.h>

#include <optional>
#include <vector>

#include "layers/conv/input.h"
#include "layers/conv/output.h"
#include "layers/quant/activation_quantizer.h"

namespace bytegate::detail {

/// Immutable after construction. An output position is quantized with the scale of all its inputs, as in a convolution
/// of one group; sums are exact.
class Depthwise {
 public:
  /// weight [channels, kernel_size], float or int8; bias [channels] or null data. Throws Error as RowProduct does.
  Depthwise(const Weight& weight, ConstTensorView bias, const Scheme& how, const Backend* on);

  void run(const ConvInput& input, const ConvOutput& output, const Layer* next, WorkspaceImpl& workspace) const;
  const Weight& weight() const noexcept { return weight_; }
  std::optional<Tensor> bias() const;

  const Backend* const backend;
  const std::optional<Scheme> scheme;

 private:
  void run_part(const ConvInput& input, const ConvOutput& output, Range rows, const ActivationQuantizer& quantizer,
                const Layer* next, WorkspaceImpl& workspace) const;
  void float_row(const float* x, std::size_t step, float* y) const;
  void int8_row(const float* x, std::size_t step, const ActivationQuantizer& quantizer, float* y,
                WorkspaceImpl& workspace) const;

  Weight weight_;
  bool has_bias_;
  std::size_t channels_, kernel_;
  std::vector<float> floats_;       ///< [kernel, channels], either these
  std::vector<std::int32_t> ints_;  ///< or these
  std::vector<float> scales_;       ///< [channels]
  std::vector<float> bias_;         ///< [channels]
};

}  // namespace bytegate::detail
