// What the layers should return, computed as plainly as possible: no tiles, no packing, no backend; int64 sums,
// doubles, one row at a time.
#pragma once

#include <bytegate/model.h>

#include <cstdint>
#include <span>
#include <vector>

#include "tests/support/random.h"

namespace bytegate::testing::oracle {

/// sum over k of (qx[k] - zero_point) * qw[k]
std::int64_t product(std::span<const std::uint8_t> qx, std::int32_t zero_point, std::span<const std::int8_t> qw);

/// One row of activations, in the order of float operations that docs/numerics.md prescribes.
struct QuantizedRow {
  float scale;  ///< NaN if the row holds NaN or infinity; q is empty then
  std::int32_t zero_point;
  std::vector<std::uint8_t> q;
};
QuantizedRow quantize_row(std::span<const float> x);

/// Linear under per_row, to the bit. bias: empty for none.
Tensor quantized_linear(const QuantizedWeight& weight, std::span<const float> bias, const Tensor& x, bool relu);

/// How products are done: in double, or with both sides quantized as the per_row scheme is defined, in double too (no
/// order of operations: as NumPy would compute).
enum class Arithmetic { exact, accurate };

Tensor linear(const Linear& layer, const Tensor& x, Arithmetic arithmetic);
/// A recurrent layer of any kind.
LSTMResult recurrent(Cell layer, const RecurrentConfig& config, const std::vector<FloatCell>& cells, const Tensor& x,
                     const RecurrentState* state, std::span<const std::int64_t> lengths, Arithmetic arithmetic);
LSTMResult lstm(const LSTMConfig& config, const std::vector<FloatCell>& cells, const Tensor& x, const LSTMState* state,
                std::span<const std::int64_t> lengths, Arithmetic arithmetic);
/// Whether `sequential` has the equations of all layers: Linear, LSTM, ReLU and Flatten.
bool covers(const Sequential& model);
/// A model of float layers.
Tensor sequential(const Sequential& model, const Tensor& x, Arithmetic arithmetic);

}  // namespace bytegate::testing::oracle
