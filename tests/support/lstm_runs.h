// An LstmCase on a backend, in float or quantized by any scheme.
#pragma once

#include <string>
#include <vector>

#include "tests/support/random.h"

namespace bytegate::testing {

struct LstmKind {
  std::string name;
  bool quantized;
  Scheme scheme;
};

/// float, per_row, and PyTorch's schemes, in this order.
std::vector<LstmKind> lstm_kinds();
/// Those that the case's layer has: PyTorch's schemes are for PyTorch's layers.
std::vector<LstmKind> lstm_kinds(const LstmCase& c);

/// The layer of a case on a backend, float or quantized.
class AnyLstm {
 public:
  AnyLstm(const LstmCase& c, const LstmKind& kind, const Backend& backend);

  LSTMResult forward(const Tensor& x, const LSTMState* state, std::span<const std::int64_t> lengths = {}) const;
  void forward(ConstTensorView x, TensorView y, const LSTMArgs& args, Workspace& workspace) const;

 private:
  std::shared_ptr<const RecurrentLayer> layer_;
};

/// The case in one call on that workspace.
LSTMResult run(const AnyLstm& layer, const LstmCase& c, Workspace& workspace);

/// The whole case in one call.
LSTMResult run(const LstmCase& c, const LstmKind& kind, const Backend& backend);

/// Batch row b (a sequence of `length` steps from `first` on) as an unbatched tensor, of x or an output; rows of a
/// state.
Tensor take_row(const Tensor& sequence, bool batch_first, std::int64_t b, std::int64_t first, std::int64_t length);
LSTMState take_state(const LSTMState& state, std::int64_t b);

}  // namespace bytegate::testing
