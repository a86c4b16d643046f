#include "layer_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <variant>

namespace bytegate::cli {
namespace {

/// Fills in one report, weight by weight.
struct Reporter {
  LayerReport& out;

  void operator()(const Linear& layer) { linear(layer); }
  void operator()(const DynamicQuantizedLinear& layer) { linear(layer); }
  void operator()(const LSTM& layer) { lstm(layer); }
  void operator()(const DynamicQuantizedLSTM& layer) { lstm(layer); }
  void operator()(const Embedding& layer) { embedding(layer); }
  void operator()(const QuantizedEmbedding& layer) { embedding(layer); }
  void operator()(const ReLU&) { out.kind = "relu"; }
  void operator()(const Flatten&) { out.kind = "flatten"; }

 private:
  template <class AnyLinear>
  void linear(const AnyLinear& layer) {
    out.kind = "linear";
    out.sizes = fmt::format("in_features={}, out_features={}, bias={}, relu={}", layer.in_features(), layer.out_features(),
                            layer.bias().has_value(), layer.relu());
    weight("weight", layer.weight());
    if (const std::optional<Tensor> bias = layer.bias()) weight("bias", *bias);
  }

  template <class AnyLstm>
  void lstm(const AnyLstm& layer) {
    const LSTMConfig& c = layer.config();
    out.kind = "lstm";
    out.sizes =
        fmt::format("input_size={}, hidden_size={}, num_layers={}, bias={}, batch_first={}, bidirectional={}, proj_size={}",
                    c.input_size, c.hidden_size, c.num_layers, c.bias, c.batch_first, c.bidirectional, c.proj_size);
    const auto cells = layer.cells();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto directions = static_cast<std::size_t>(c.directions());
      const std::string suffix = lstm_suffix(static_cast<std::int64_t>(i / directions), i % directions == 1);
      weight("weight_ih" + suffix, cells[i].weight_ih);
      weight("weight_hh" + suffix, cells[i].weight_hh);
      weight("bias_ih" + suffix, cells[i].bias_ih);
      weight("bias_hh" + suffix, cells[i].bias_hh);
      weight("weight_hr" + suffix, cells[i].weight_hr);
    }
  }

  template <class AnyEmbedding>
  void embedding(const AnyEmbedding& layer) {
    out.kind = "embedding";
    out.sizes = fmt::format("num_embeddings={}, embedding_dim={}", layer.num_embeddings(), layer.embedding_dim());
    weight("weight", layer.weight());
  }

  void weight(const std::string&, const Tensor& tensor) {
    out.parameters += tensor.data.size();
    out.bytes += tensor.data.size() * sizeof(float);
  }

  void weight(const std::string& name, const QuantizedWeight& matrix) {
    if (matrix.data.empty()) return;
    out.quantized = true;
    out.parameters += matrix.data.size();
    out.bytes += matrix.data.size() + matrix.scales.size() * sizeof(float);
    const auto [min, max] = std::minmax_element(matrix.scales.begin(), matrix.scales.end());
    out.scales.push_back({out.name + "." + name, *min, *max, matrix.scales.size()});
  }
};

}  // namespace

LayerReport report(const std::string& name, const Layer& layer) {
  LayerReport out;
  out.name = name;
  out.text = to_string(layer);
  std::visit(Reporter{out}, layer);
  return out;
}

std::vector<LayerReport> report(const std::vector<std::pair<std::string, Layer>>& layers) {
  std::vector<LayerReport> all;
  for (const auto& [name, layer] : layers) all.push_back(report(name, layer));
  return all;
}

Json to_json(const LayerReport& layer) {
  Json json = {{"name", layer.name},
               {"kind", layer.kind},
               {"text", layer.text},
               {"quantized", layer.quantized},
               {"parameters", layer.parameters},
               {"bytes", layer.bytes}};
  json["scales"] = Json::array();
  for (const ScaleRange& range : layer.scales)
    json["scales"].push_back({{"tensor", range.tensor}, {"count", range.count}, {"min", range.min}, {"max", range.max}});
  return json;
}

}  // namespace bytegate::cli
