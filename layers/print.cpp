#include <bytegate/model.h>

#include <ostream>

namespace bytegate {
namespace {

std::string sizes(const LSTMConfig& c) {
  std::string text = std::to_string(c.input_size) + ", " + std::to_string(c.hidden_size);
  if (c.proj_size != 0) text += ", proj_size=" + std::to_string(c.proj_size);
  if (c.num_layers != 1) text += ", num_layers=" + std::to_string(c.num_layers);
  if (!c.bias) text += ", bias=False";
  if (c.batch_first) text += ", batch_first=True";
  if (c.bidirectional) text += ", bidirectional=True";
  return text;
}

std::string qscheme(bool per_channel) { return per_channel ? "per_channel_symmetric" : "per_tensor_symmetric"; }

template <class L>
std::string features(const L& l) {
  return "in_features=" + std::to_string(l.in_features()) + ", out_features=" + std::to_string(l.out_features());
}

std::string text(const Linear& l) {
  return "Linear(" + features(l) + ", bias=" + (l.bias() ? "True" : "False") + (l.relu() ? ", relu=True" : "") + ")";
}
std::string text(const DynamicQuantizedLinear& l) {
  return "DynamicQuantizedLinear(" + features(l) + ", dtype=qint8, qscheme=" + qscheme(l.scheme().per_channel) +
         (l.relu() ? ", relu=True" : "") + ")";
}
std::string text(const LSTM& l) { return "LSTM(" + sizes(l.config()) + ")"; }
std::string text(const DynamicQuantizedLSTM& l) { return "DynamicQuantizedLSTM(" + sizes(l.config()) + ")"; }
std::string text(const Embedding& l) {
  return "Embedding(" + std::to_string(l.num_embeddings()) + ", " + std::to_string(l.embedding_dim()) + ")";
}
std::string text(const QuantizedEmbedding& l) {
  return "QuantizedEmbedding(num_embeddings=" + std::to_string(l.num_embeddings()) + ", embedding_dim=" + std::to_string(l.embedding_dim()) +
         ", dtype=qint8, qscheme=" + qscheme(true) + ")";
}
std::string text(const ReLU&) { return "ReLU()"; }
std::string text(const Flatten&) { return "Flatten(start_dim=1, end_dim=-1)"; }

}  // namespace

std::string to_string(const Layer& layer) {
  return std::visit([](const auto& l) { return text(l); }, layer);
}

std::string to_string(const Sequential& model) {
  std::string out = model.name() + "(";
  for (const auto& [name, layer] : model.layers()) out += "\n  (" + name + "): " + to_string(layer);
  return out + (model.layers().empty() ? ")" : "\n)");
}

std::ostream& operator<<(std::ostream& out, const Sequential& model) { return out << to_string(model); }

}  // namespace bytegate
