#include "tests/case_file.h"

#include <algorithm>

namespace bytegate::testing {
namespace {

/// Makes layers from their configuration and their tensors, whose names begin with a prefix.
class Builder {
 public:
  Builder(const Case& source, const Backend& backend) : source_(source), backend_(backend) {}

  LayerPtr layer(const nlohmann::json& c, const std::string& prefix) const;

  LayerPtr linear(const nlohmann::json& c, const std::string& prefix) const {
    const Tensor weight = source_.tensor(prefix + "weight");
    const Tensor bias = c.value("bias", true) ? source_.tensor(prefix + "bias") : Tensor();
    const bool has_bias = c.value("bias", true);
    return std::make_shared<const Linear>(weight.view(), has_bias ? bias.view() : ConstTensorView{}, false, &backend_);
  }

  template <class L>
  LayerPtr recurrent(const nlohmann::json& c, const std::string& prefix) const {
    const RecurrentConfig config = recurrent_config(c);
    std::vector<RecurrentWeights> cells;
    for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
      for (std::int64_t d = 0; d < config.directions(); ++d)
        cells.push_back(weights(config, prefix, lstm_suffix(layer, d == 1)));
    }
    return std::make_shared<const L>(config, cells, &backend_);
  }
  template <class L>
  LayerPtr cell(const nlohmann::json& c, const std::string& prefix) const {
    const RecurrentConfig config = recurrent_config(c);
    return std::make_shared<const L>(config, weights(config, prefix, ""), &backend_);
  }

  LayerPtr conv1d(const nlohmann::json& c, const std::string& prefix) const {
    const Conv1dConfig config{.in_channels = c.at("in_channels"),
                              .out_channels = c.at("out_channels"),
                              .kernel_size = c.at("kernel_size"),
                              .stride = c.value("stride", 1),
                              .padding = c.value("padding", 0),
                              .dilation = c.value("dilation", 1),
                              .groups = c.value("groups", 1)};
    const bool has_bias = c.value("bias", true);
    const Tensor weight = source_.tensor(prefix + "weight"),
                 bias = has_bias ? source_.tensor(prefix + "bias") : Tensor();
    return std::make_shared<const Conv1d>(config, weight.view(), has_bias ? bias.view() : ConstTensorView{}, &backend_);
  }

  LayerPtr layer_norm(const nlohmann::json& c, const std::string& prefix) const {
    const Tensor weight = source_.tensor(prefix + "weight"), bias = source_.tensor(prefix + "bias");
    return std::make_shared<const LayerNorm>(c.at("normalized_shape"), weight.view(), bias.view(),
                                             c.value("eps", 1e-5));
  }

  LayerPtr permute(const nlohmann::json& c, const std::string&) const {
    return std::make_shared<const Permute>(c.at("dims").get<std::vector<std::int64_t>>());
  }
  LayerPtr last_step(const nlohmann::json& c, const std::string&) const {
    return std::make_shared<const LastStep>(c.value("batch_first", false));
  }
  LayerPtr sigmoid(const nlohmann::json&, const std::string&) const {
    return std::make_shared<const Sigmoid>(&backend_);
  }
  LayerPtr tanh(const nlohmann::json&, const std::string&) const { return std::make_shared<const Tanh>(&backend_); }
  /// A layer without options.
  template <class L>
  LayerPtr plain(const nlohmann::json&, const std::string&) const {
    return std::make_shared<const L>();
  }

 private:
  static RecurrentConfig recurrent_config(const nlohmann::json& c) {
    RecurrentConfig config;
    config.input_size = c.at("input_size");
    config.hidden_size = c.at("hidden_size");
    config.num_layers = c.value("num_layers", 1);
    config.bias = c.value("bias", true);
    config.batch_first = c.value("batch_first", false);
    config.bidirectional = c.value("bidirectional", false);
    config.proj_size = c.value("proj_size", 0);
    if (c.value("nonlinearity", "tanh") == std::string("relu")) config.nonlinearity = Nonlinearity::relu;
    return config;
  }

  RecurrentWeights weights(const RecurrentConfig& config, const std::string& prefix, const std::string& suffix) const {
    const auto get = [&](const char* what, bool there) {
      return there ? source_.tensor(prefix + what + suffix) : Tensor();
    };
    return {get("weight_ih", true), get("weight_hh", true), get("bias_ih", config.bias), get("bias_hh", config.bias),
            get("weight_hr", config.proj_size > 0)};
  }

  const Case& source_;
  const Backend& backend_;
};

/// Every kind of the format.
struct Kind {
  const char* name;
  LayerPtr (Builder::*build)(const nlohmann::json& config, const std::string& prefix) const;
};
constexpr Kind kKinds[] = {
    {"linear", &Builder::linear},
    {"lstm", &Builder::recurrent<LSTM>},
    {"gru", &Builder::recurrent<GRU>},
    {"rnn", &Builder::recurrent<RNN>},
    {"lstm_cell", &Builder::cell<LSTMCell>},
    {"gru_cell", &Builder::cell<GRUCell>},
    {"rnn_cell", &Builder::cell<RNNCell>},
    {"conv1d", &Builder::conv1d},
    {"permute", &Builder::permute},
    {"last_step", &Builder::last_step},
    {"flatten", &Builder::plain<Flatten>},
    {"layer_norm", &Builder::layer_norm},
    {"softmax", &Builder::plain<Softmax>},
    {"relu", &Builder::plain<ReLU>},
    {"sigmoid", &Builder::sigmoid},
    {"tanh", &Builder::tanh},
};

LayerPtr Builder::layer(const nlohmann::json& c, const std::string& prefix) const {
  const std::string name = c.at("kind");
  for (const Kind& kind : kKinds) {
    if (name == kind.name) return (this->*kind.build)(c, prefix);
  }
  throw Error(ErrorCode::bad_file, "a layer of kind '" + name + "', which the format of reference cases does not have");
}

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
  const Builder builder(*this, backend);
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
  const auto* layer = dynamic_cast<const RecurrentLayer*>(model.layers().front().layer.get());
  if (config.at("kind") == "sequential" || !layer) return {model.forward(input), {}, {}};
  RecurrentState state;
  if (file.contains("h0")) state.h = tensor("h0");
  if (file.contains("c0")) state.c = tensor("c0");
  const std::vector<std::int64_t> lengths =
      file.contains("lengths") ? file.int64s("lengths") : std::vector<std::int64_t>();
  RecurrentResult result = layer->forward(input, file.contains("h0") ? &state : nullptr, lengths);
  return {std::move(result.output), std::move(result.state.h), std::move(result.state.c)};
}

Outputs Case::reference(const std::string& suffix) const {
  const auto get = [&](const std::string& what) {
    return file.contains(what + suffix) ? tensor(what + suffix) : Tensor();
  };
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
