#include "tests/case_file.h"

#include <algorithm>

namespace bytegate::testing {
namespace {

struct Builder {
  const Case& source;
  const Backend& backend;

  Layer linear(const nlohmann::json& c, const std::string& prefix) const {
    const Tensor weight = source.tensor(prefix + "weight");
    const Tensor bias = c.value("bias", true) ? source.tensor(prefix + "bias") : Tensor();
    return Linear(weight.view(), c.value("bias", true) ? bias.view() : ConstTensorView{}, false, &backend);
  }

  Layer lstm(const nlohmann::json& c, const std::string& prefix) const {
    LSTMConfig config;
    config.input_size = c.at("input_size");
    config.hidden_size = c.at("hidden_size");
    config.num_layers = c.value("num_layers", 1);
    config.bias = c.value("bias", true);
    config.batch_first = c.value("batch_first", false);
    config.bidirectional = c.value("bidirectional", false);
    config.proj_size = c.value("proj_size", 0);
    std::vector<LSTMCell<Tensor>> cells;
    for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
      for (std::int64_t d = 0; d < config.directions(); ++d) {
        const std::string suffix = lstm_suffix(layer, d == 1);
        const auto get = [&](const char* what, bool there) { return there ? source.tensor(prefix + what + suffix) : Tensor(); };
        cells.push_back({get("weight_ih", true), get("weight_hh", true), get("bias_ih", config.bias), get("bias_hh", config.bias),
                         get("weight_hr", config.proj_size > 0)});
      }
    }
    return LSTM(config, cells, &backend);
  }

  Layer layer(const nlohmann::json& c, const std::string& prefix) const {
    const std::string kind = c.at("kind");
    if (kind == "linear") return linear(c, prefix);
    if (kind == "lstm") return lstm(c, prefix);
    if (kind == "relu") return ReLU();
    if (kind == "flatten") return Flatten();
    throw Error(ErrorCode::bad_file, source.name + ": a layer of kind '" + kind + "'");
  }
};

}  // namespace

Case Case::load(const std::filesystem::path& path) {
  SafetensorsFile file = SafetensorsFile::load(path);
  nlohmann::json config = nlohmann::json::parse(file.metadata().at("case"));
  return {path.stem().string(), std::move(config), std::move(file)};
}

Tensor Case::tensor(const std::string& tensor_name) const {
  return Tensor(Shape(file.tensor(tensor_name).shape), file.floats(tensor_name));
}

Sequential Case::model(const Backend& backend) const {
  const Builder builder{*this, backend};
  Sequential model("Case");
  if (config.at("kind") != "sequential") {
    model.add("layer", builder.layer(config, ""));
    return model;
  }
  for (const auto& c : config.at("layers")) {
    const std::string layer_name = c.at("name");
    model.add(layer_name, builder.layer(c, layer_name + "."));
  }
  return model;
}

Outputs Case::run(const Sequential& model) const {
  const Tensor input = tensor("input");
  if (config.at("kind") != "lstm") return {model.forward(input), {}, {}};
  std::optional<LSTMState> state;
  if (file.contains("h0")) state = LSTMState{tensor("h0"), tensor("c0")};
  const std::vector<std::int64_t> lengths = file.contains("lengths") ? file.int64s("lengths") : std::vector<std::int64_t>();
  LSTMResult result = std::visit(
      [&](const auto& layer) -> LSTMResult {
        using L = std::decay_t<decltype(layer)>;
        if constexpr (std::is_same_v<L, LSTM> || std::is_same_v<L, DynamicQuantizedLSTM>) {
          return layer.forward(input, state ? &*state : nullptr, lengths);
        } else {
          throw Error(ErrorCode::bad_file, name + ": not an LSTM");
        }
      },
      model.layers().front().second);
  return {std::move(result.output), std::move(result.state.h), std::move(result.state.c)};
}

Outputs Case::reference(const std::string& suffix) const {
  const auto get = [&](const std::string& what) { return file.contains(what + suffix) ? tensor(what + suffix) : Tensor(); };
  return {get("output_"), get("hn_"), get("cn_")};
}

std::vector<std::filesystem::path> case_paths(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace bytegate::testing
