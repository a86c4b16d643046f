// Random tests that are the same with every compiler and standard library.
#pragma once

#include <bytegate/layers.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace bytegate::testing {

/// splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next();
  std::int64_t integer(std::int64_t lo, std::int64_t hi);  ///< lo..hi
  float uniform(float lo, float hi);
  bool chance(int percent) { return integer(0, 99) < percent; }
  std::int64_t pick(std::initializer_list<std::int64_t> values);

 private:
  std::uint64_t state_;
};

Tensor random_tensor(const Shape& shape, Random& random, float bound = 1.0f);

/// RecurrentWeights with float matrices that a test can change.
struct FloatCell {
  Tensor weight_ih, weight_hh, bias_ih, bias_hh, weight_hr;

  operator RecurrentWeights() const { return {weight_ih, weight_hh, bias_ih, bias_hh, weight_hr}; }
};
std::vector<RecurrentWeights> to_cells(const std::vector<FloatCell>& cells);
/// The cells of a float layer.
std::vector<FloatCell> float_cells(const RecurrentLayer& layer);

/// The layer as what it is; throws std::bad_cast if it is another.
template <class L>
const L& as(const LayerPtr& layer) {
  return dynamic_cast<const L&>(*layer);
}
/// Whether the layer is one of that class, and its weights are of that type.
template <class L>
bool is(const LayerPtr& layer) {
  return dynamic_cast<const L*>(layer.get()) != nullptr;
}
template <class L>
bool is_quantized(const LayerPtr& layer) {
  return is<L>(layer) && as<L>(layer).quantized();
}

/// Weights as PyTorch initializes them, uniform in +-1/sqrt(hidden_size), times `gain`; biases too.
std::vector<FloatCell> random_cells(const LSTMConfig& config, Random& random, float gain = 1.0f,
                                    std::int64_t gates = 4);

/// The layers that a case may be of: every recurrent layer of whole sequences.
std::vector<Cell> recurrent_layers();

/// A recurrent layer and all arguments of a call.
struct LstmCase {
  Cell layer = Cell::lstm;
  LSTMConfig config;
  std::vector<FloatCell> cells;
  std::int64_t steps = 1, batch = 1;
  bool unbatched = false;
  Tensor x;
  bool has_state = false;
  LSTMState state;                    ///< c is an LSTM's
  std::vector<std::int64_t> lengths;  ///< may be empty

  bool has_c() const { return layer == Cell::lstm; }
  /// A state of zeros.
  LSTMState zero_state() const;

  Shape state_shape(std::int64_t size) const;
  std::string text() const;
};

/// Fills x, state (if has_state) and cells of a case whose config and sizes are set.
void fill(LstmCase& c, Random& random);
/// Options and sizes at random, odd ones and 1 among them; the layers in turn, each with all options that it has.
LstmCase random_lstm_case(std::uint64_t seed);
/// Cases that chance hits too rarely: many rows, many steps, sizes around the width of panels and chunks.
std::vector<LstmCase> large_lstm_cases();

/// The views of a state, which holds the end state after the call.
LSTMArgs state_in_place(LSTMState& state);

}  // namespace bytegate::testing
