#include "layers/kinds.h"

#include <bytegate/backend.h>

#include <array>

#include "layers/core/float_environment.h"
#include "layers/core/share.h"

namespace bytegate {
namespace detail {

void check_lone_matrix(const LayerSource& source, std::int64_t rows, std::int64_t cols) {
  if (const std::vector<std::string> others = source.others(); !others.empty()) {
    source.fail({"has \"", others.front(), "\" besides the tensors of such a layer"});
  }
  if (rows == 0 || cols == 0) source.fail({"has a weight without elements"});
  if (cols > static_cast<std::int64_t>(kMaxK)) {
    source.fail({"has a weight of ", cols, " columns; at most ", kMaxK, " are accepted"});
  }
}

LayerPtr own(const Layer* layer) { return {own(layer, destroy<Layer>), layer}; }

std::string qscheme(const Scheme& scheme) {
  return scheme.per_channel() ? "per_channel_symmetric" : "per_tensor_symmetric";
}

}  // namespace detail

namespace {

/// A kind's function in the usual floating-point environment, so that values of other types become the same floats.
template <LayerPtr (*make)(LayerSource&)>
LayerPtr in_usual_environment(LayerSource& source) {
  const detail::FloatEnvironment environment;
  return make(source);
}

}  // namespace

std::span<const LayerKind> layer_kinds() noexcept {
  using namespace detail;
  // name, title, has tensors, quantized by default, quantizes activations, make, outline, mark, name hint, takes fold,
  // fold
  static constexpr std::array kKinds{
      LayerKind{"embedding", "an Embedding", true, false, false, in_usual_environment<make_embedding>,
                outline_embedding, "weight", "emb"},
      LayerKind{"lstm", "an LSTM", true, true, true, in_usual_environment<make_lstm>, outline_lstm, "weight_ih_l0"},
      LayerKind{"gru", "a GRU", true, true, true, in_usual_environment<make_gru>, outline_gru, "weight_ih_l0"},
      LayerKind{"rnn", "an RNN", true, true, true, in_usual_environment<make_rnn>, outline_rnn, "weight_ih_l0"},
      LayerKind{"lstm_cell", "an LSTMCell", true, true, true, in_usual_environment<make_lstm_cell>, outline_lstm_cell,
                "weight_ih"},
      LayerKind{"gru_cell", "a GRUCell", true, true, true, in_usual_environment<make_gru_cell>, outline_gru_cell,
                "weight_ih"},
      LayerKind{"rnn_cell", "an RNNCell", true, true, true, in_usual_environment<make_rnn_cell>, outline_rnn_cell,
                "weight_ih"},
      LayerKind{"linear",
                "a Linear",
                true,
                true,
                true,
                in_usual_environment<make_linear>,
                outline_linear,
                "weight",
                {},
                true},
      LayerKind{"conv1d", "a Conv1d", true, true, true, in_usual_environment<make_conv1d>, nullptr, {}, {}, true},
      LayerKind{"relu", "a ReLU", false, false, false, make_relu},
      LayerKind{"leaky_relu", "a LeakyReLU", false, false, false, make_leaky_relu},
      LayerKind{"elu", "an ELU", false, false, false, make_elu},
      LayerKind{"sigmoid", "a Sigmoid", false, false, false, make_sigmoid},
      LayerKind{"tanh", "a Tanh", false, false, false, make_tanh},
      LayerKind{"softmax", "a Softmax", false, false, false, make_softmax},
      LayerKind{"log_softmax", "a LogSoftmax", false, false, false, make_log_softmax},
      LayerKind{"layer_norm", "a LayerNorm", true, false, false, in_usual_environment<make_layer_norm>},
      LayerKind{
          "batch_norm1d", "a BatchNorm1d", true, false, false, nullptr, nullptr, {}, {}, false, fold_batch_norm1d},
      LayerKind{"flatten", "a Flatten", false, false, false, make_flatten},
      LayerKind{"last_step", "a LastStep", false, false, false, make_last_step},
      LayerKind{"permute", "a Permute", false, false, false, make_permute},
      LayerKind{"dropout", "a Dropout", false, false, false, nullptr},
      LayerKind{"identity", "an Identity", false, false, false, nullptr},
  };
  return kKinds;
}

const LayerKind* find_layer_kind(std::string_view name) noexcept {
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

}  // namespace bytegate
