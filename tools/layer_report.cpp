#include "layer_report.h"

#include <fmt/core.h>

#include <algorithm>

namespace bytegate::cli {
namespace {

/// Fills in one report, weight by weight.
class Reporter final : public LayerVisitor {
 public:
  explicit Reporter(LayerReport& out) : out_(out) {}

 private:
  void begin(std::string_view kind, std::string_view) override { out_.kind = kind; }

  void field(const LayerField& field) override {
    if (!field.in_architecture || field.name == "dtype") return;
    const std::string value = to_string(field);
    out_.sizes += fmt::format("{}{}={}", out_.sizes.empty() ? "" : ", ", field.name, value);
  }

  void tensor(const std::string&, const Tensor& tensor) override {
    out_.parameters += tensor.data.size();
    out_.bytes += tensor.data.size() * sizeof(float);
  }

  void weight(const std::string& name, const Weight& weight) override {
    const std::size_t count = Shape{weight.rows(), weight.cols()}.elements();
    out_.parameters += count;
    out_.bytes += count * (weight.quantized() ? 1 : sizeof(float)) + weight.scales().size() * sizeof(float);
    if (!weight.quantized() || count == 0) return;
    out_.quantized = true;
    const auto [min, max] = std::minmax_element(weight.scales().begin(), weight.scales().end());
    out_.scales.push_back({out_.name + "." + name, *min, *max, weight.scales().size()});
  }

  LayerReport& out_;
};

}  // namespace

LayerReport report(const NamedLayer& layer) {
  LayerReport out;
  out.name = layer.name;
  out.text = to_string(*layer.layer);
  Reporter reporter(out);
  layer.layer->describe(reporter);
  return out;
}

std::vector<LayerReport> report(const std::vector<NamedLayer>& layers) {
  std::vector<LayerReport> all;
  for (const NamedLayer& layer : layers) all.push_back(report(layer));
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
    json["scales"].push_back(
        {{"tensor", range.tensor}, {"count", range.count}, {"min", range.min}, {"max", range.max}});
  return json;
}

}  // namespace bytegate::cli
