// The kinds of layers that files can hold, and what making a layer from a file needs.
#pragma once

#include <bytegate/layer.h>

#include <cstdint>
#include <functional>
#include <string>

namespace bytegate::detail {

// Beside its layer, each kind has a function that makes it and, if tensors alone tell it, one that outlines it. They
// throw Error (bad_file, invalid_argument, shape_mismatch).
LayerPtr make_linear(LayerSource& source);
LayerPtr make_lstm(LayerSource& source);
LayerPtr make_gru(LayerSource& source);
LayerPtr make_rnn(LayerSource& source);
LayerPtr make_lstm_cell(LayerSource& source);
LayerPtr make_gru_cell(LayerSource& source);
LayerPtr make_rnn_cell(LayerSource& source);
LayerPtr make_conv1d(LayerSource& source);
LayerPtr make_embedding(LayerSource& source);
LayerPtr make_relu(LayerSource& source);
LayerPtr make_leaky_relu(LayerSource& source);
LayerPtr make_elu(LayerSource& source);
LayerPtr make_sigmoid(LayerSource& source);
LayerPtr make_tanh(LayerSource& source);
LayerPtr make_softmax(LayerSource& source);
LayerPtr make_log_softmax(LayerSource& source);
ChannelAffine fold_batch_norm1d(LayerSource& source);
LayerPtr make_layer_norm(LayerSource& source);
LayerPtr make_flatten(LayerSource& source);
LayerPtr make_last_step(LayerSource& source);
LayerPtr make_permute(LayerSource& source);
LayerOutline outline_linear(LayerSource& source);
LayerOutline outline_lstm(LayerSource& source);
LayerOutline outline_gru(LayerSource& source);
LayerOutline outline_rnn(LayerSource& source);
LayerOutline outline_lstm_cell(LayerSource& source);
LayerOutline outline_gru_cell(LayerSource& source);
LayerOutline outline_rnn_cell(LayerSource& source);
LayerOutline outline_embedding(LayerSource& source);

/// Takes a new layer.
LayerPtr own(const Layer* layer);

/// The printed form of a layer that `describe` tells about: "LSTM(80, 256)".
std::string printed(const std::function<void(LayerVisitor&)>& describe);

/// Throws Error unless the module's one matrix, `weight`, could be a layer's in a model: not empty, of at most kMaxK
/// columns, and with no tensors beside it but those that were asked for. For outlines.
void check_lone_matrix(const LayerSource& source, std::int64_t rows, std::int64_t cols);

/// PyTorch's name of how weights are quantized: "per_channel_symmetric".
std::string qscheme(const Scheme& scheme);

}  // namespace bytegate::detail
