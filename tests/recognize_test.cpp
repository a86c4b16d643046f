// Models recognized from the names and shapes of a state dict's tensors, and state dicts that are no whole model.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

using Dims = std::vector<std::int64_t>;
using Tensors = std::vector<std::pair<std::string, Dims>>;

/// A state dict of F32 tensors with these names and shapes; the values are 0.
SafetensorsFile state_dict(const Tensors& tensors, const std::string& dtype = "F32") {
  SafetensorsWriter writer;
  for (const auto& [name, shape] : tensors) {
    std::size_t elements = dtype == "I64" ? 8 : 4;
    for (const std::int64_t dim : shape) elements *= static_cast<std::size_t>(dim);
    writer.add(name, dtype, shape, std::vector<std::byte>(elements));
  }
  return SafetensorsFile::parse(writer.bytes(), "dict.safetensors");
}

std::string recognized(const Tensors& tensors) { return to_string(load_model(state_dict(tensors))); }

Tensors operator+(Tensors a, const Tensors& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The tensors of an LSTM in PyTorch's order.
Tensors lstm(const std::string& prefix, const LSTMConfig& config) {
  Tensors tensors;
  for (std::int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (std::int64_t d = 0; d < config.directions(); ++d) {
      const auto add = [&](const std::string& part, const Dims& shape) {
        tensors.push_back({prefix + part + lstm_suffix(layer, d == 1), shape});
      };
      const std::int64_t gates = 4 * config.hidden_size;
      add("weight_ih", {gates, config.layer_input_size(layer)});
      add("weight_hh", {gates, config.output_size()});
      if (config.bias) add("bias_ih", {gates});
      if (config.bias) add("bias_hh", {gates});
      if (config.proj_size > 0) add("weight_hr", {config.proj_size, config.hidden_size});
    }
  }
  return tensors;
}

Tensors linear(const std::string& prefix, std::int64_t in, std::int64_t out, bool bias = true) {
  Tensors tensors = {{prefix + "weight", {out, in}}};
  if (bias) tensors.push_back({prefix + "bias", {out}});
  return tensors;
}

Tensors without(Tensors tensors, const std::string& name) {
  std::erase_if(tensors, [&](const auto& t) { return t.first == name; });
  return tensors;
}

TEST(Recognize, EveryLSTMOption) {
  std::size_t count = 0;
  for (const std::int64_t layers : {1, 2, 11}) {
    for (const bool bias : {true, false}) {
      for (const bool bidirectional : {true, false}) {
        for (const std::int64_t proj : {0, 1, 3}) {
          const LSTMConfig config{.input_size = 5,
                                  .hidden_size = 4,
                                  .num_layers = layers,
                                  .bias = bias,
                                  .bidirectional = bidirectional,
                                  .proj_size = proj};
          for (const std::string prefix : {"rnn.", ""}) {
            const Sequential model = load_model(state_dict(lstm(prefix, config)));
            ASSERT_EQ(model.layers().size(), 1u);
            EXPECT_EQ(model.layers()[0].first, prefix.empty() ? "lstm" : "rnn");
            EXPECT_EQ(std::get<LSTM>(model.layers()[0].second).config(), config) << to_string(model);
            ++count;
          }
        }
      }
    }
  }
  EXPECT_EQ(count, 72u);
}

TEST(Recognize, LSTMOfOneUnitWithoutBias) {
  // The smallest of all: [4, 1] and [4, 1].
  EXPECT_EQ(recognized(lstm("", {.input_size = 1, .hidden_size = 1, .bias = false})),
            "Sequential(\n  (lstm): LSTM(1, 1, bias=False)\n)");
}

TEST(Recognize, Linear) {
  EXPECT_EQ(recognized(linear("fc.", 3, 2)), "Sequential(\n  (fc): Linear(in_features=3, out_features=2, bias=True)\n)");
  EXPECT_EQ(recognized(linear("", 3, 2, false)), "Sequential(\n  (linear): Linear(in_features=3, out_features=2, bias=False)\n)");
  EXPECT_EQ(recognized(linear("fc1.", 3, 5) + linear("fc2.", 5, 5, false) + linear("fc3.", 5, 1)),
            "Sequential(\n  (fc1): Linear(in_features=3, out_features=5, bias=True)\n  (fc2): Linear(in_features=5, "
            "out_features=5, bias=False)\n"
            "  (fc3): Linear(in_features=5, out_features=1, bias=True)\n)");
}

TEST(Recognize, Embedding) {
  const std::string model =
      "Sequential(\n  (e): Embedding(63, 48)\n  (lstm): LSTM(48, 16)\n  (decoder): Linear(in_features=16, out_features=63, "
      "bias=True)\n)";
  const Tensors rest = lstm("lstm.", {.input_size = 48, .hidden_size = 16}) + linear("decoder.", 16, 63);
  EXPECT_EQ(recognized(linear("e.", 48, 63, false) + rest), model);
  // With a bias it is a Linear, which does not fit.
  expect_error(ErrorCode::bad_file, {"\"lstm\" takes 48 features and \"e\" gives 63"},
               [&] { recognized(linear("e.", 48, 63) + rest); });
  // A Linear without bias where that fits; where both do, its name says.
  const Tensors head = linear("head.", 8, 2);
  EXPECT_NE(recognized(linear("first.", 3, 8, false) + head).find("(first): Linear(in_features=3"), std::string::npos);
  EXPECT_NE(recognized(linear("first.", 8, 8, false) + head).find("(first): Linear(in_features=8"), std::string::npos);
  for (const std::string name : {"embedding", "tok_embed", "Emb", "encoder"}) {
    EXPECT_NE(recognized(linear(name + '.', 8, 8, false) + head).find("): Embedding(8, 8)"), std::string::npos) << name;
  }
  // Sizes go before names.
  EXPECT_NE(recognized(linear("embedded.", 3, 8, false) + head).find("(embedded): Linear(in_features=3"), std::string::npos);
  EXPECT_NE(recognized(linear("embed.", 8, 5, false)).find("Embedding(5, 8)"), std::string::npos);
}

TEST(Recognize, OrderOfTheData) {
  // As the safetensors package writes them, by name: decoder, encoder, lstm. Only one order fits.
  const Tensors by_name =
      linear("decoder.", 16, 63) + linear("encoder.", 48, 63, false) + lstm("lstm.", {.input_size = 48, .hidden_size = 16});
  EXPECT_EQ(recognized(by_name),
            "Sequential(\n  (encoder): Embedding(63, 48)\n  (lstm): LSTM(48, 16)\n  (decoder): Linear(in_features=16, "
            "out_features=63, bias=True)\n)");
  // The order of the data stands if it fits, whatever the names.
  EXPECT_EQ(recognized(linear("b.", 4, 4) + linear("a.", 4, 4)).find("(b)"), std::string("Sequential(\n  ").size());
  // More than one order fits, but not that of the data.
  expect_error(ErrorCode::bad_file, {"more than one other order", "architecture"},
               [&] { recognized(linear("z.", 4, 2) + linear("a.", 4, 4) + linear("b.", 4, 4)); });
  expect_error(ErrorCode::bad_file, {"dict.safetensors", "\"fc\" takes 640 features and \"lstm\" gives 32", "architecture"},
               [&] { recognized(lstm("lstm.", {.input_size = 4, .hidden_size = 32}) + linear("fc.", 640, 10)); });
}

TEST(Recognize, Charlm) {
  const std::filesystem::path path = std::filesystem::path(BYTEGATE_SOURCE_DIR) / "examples/data/charlm/model.safetensors";
  const SafetensorsFile file = SafetensorsFile::load(path);
  SafetensorsWriter bare;  // the same tensors, by name and without the architecture
  for (const auto& [name, t] : file.tensors()) bare.add(name, t.dtype, t.shape, t.data);
  EXPECT_EQ(to_string(load_model(SafetensorsFile::parse(bare.bytes(), "bare"))), to_string(load_model(path)));
}

TEST(Recognize, WhatIsNoLayer) {
  const auto refused = [](const std::vector<std::string>& parts, const Tensors& tensors) {
    expect_error(ErrorCode::bad_file, parts, [&] { recognized(tensors); });
  };
  refused({"no LSTM, Linear or Embedding is recognized in its 0 tensors"}, {});
  refused({"recognized in its 2 tensors"}, {{"conv.weight", {4, 3, 2}}, {"conv.bias", {4}}});
  refused({"recognized", "a GRU"}, {{"g.weight_ih_l0", {12, 3}}, {"g.weight_hh_l0", {12, 4}}});
  refused({"recognized", "a plain RNN"}, {{"g.weight_ih_l0", {4, 3}}, {"g.weight_hh_l0", {4, 4}}});
  refused({"weight_hh_l0 must be matrices"}, {{"g.weight_ih_l0", {16, 3}}});
  refused({"13 rows for 4 hidden units"}, {{"g.weight_ih_l0", {13, 3}}, {"g.weight_hh_l0", {13, 4}}});
  refused({"its bias is not [2]"}, {{"fc.weight", {2, 3}}, {"fc.bias", {3}}});
  refused({"tensors besides weight and bias"}, {{"fc.weight", {2, 3}}, {"fc.bias", {2}}, {"fc.mask", {2, 3}}});
  const LSTMConfig config{.input_size = 3, .hidden_size = 4, .num_layers = 2, .bidirectional = true};
  for (const auto& [name, shape] : lstm("", config)) {
    if (name == "weight_ih_l0" || name == "weight_ih_l0_reverse") continue;  // without it, another complaint
    refused({"recognized", "LSTM"}, without(lstm("", config), name));
  }
  refused({"has no \"bias_xx\""}, lstm("", config) + Tensors{{"bias_xx", {16}}});
  refused({"no layer of the model uses the tensors \"norm.weight\""}, linear("fc.", 3, 2) + Tensors{{"norm.weight", {2}}});
  expect_error(ErrorCode::bad_file, {"it is I64"}, [] { load_model(state_dict(linear("fc.", 3, 2), "I64")); });
}

TEST(StateDict, QuantizesWhatItKnowsAndKeepsTheRest) {
  const Tensors tensors = Tensors{{"conv.weight", {4, 3, 2}}, {"conv.bias", {4}}} +
                          lstm("model.rnn.", {.input_size = 6, .hidden_size = 8}) + linear("model.head.", 5, 2) +
                          Tensors{{"norm.weight", {2}}} + linear("emb.", 4, 9, false);
  const SafetensorsFile file = state_dict(tensors);
  const StateDict floats = load_state_dict(file);
  ASSERT_EQ(floats.layers.size(), 3u);
  EXPECT_EQ(floats.layers[0].first, "model.rnn");
  EXPECT_EQ(floats.layers[1].first, "model.head");
  EXPECT_EQ(to_string(floats.layers[2].second), "Embedding(9, 4)");
  EXPECT_EQ(floats.others, (std::vector<std::string>{"conv.bias", "conv.weight", "norm.weight"}));
  EXPECT_TRUE(floats.notes.empty());

  QuantizeOptions options;
  options.exclude = {"*head"};
  const StateDict quantized = quantize_dynamic(floats, options);
  EXPECT_TRUE(std::holds_alternative<DynamicQuantizedLSTM>(quantized.layers[0].second));
  EXPECT_TRUE(std::holds_alternative<Linear>(quantized.layers[1].second));
  EXPECT_TRUE(std::holds_alternative<Embedding>(quantized.layers[2].second));
  options.exclude = {"nothing"};
  expect_error(ErrorCode::invalid_argument, {"'nothing' matches no layer", "model.head"},
               [&] { quantize_dynamic(floats, options); });

  const TemporaryFolder folder;
  save_state_dict(quantized, file, folder / "a");
  const SafetensorsFile saved = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(saved.tensor("model.rnn.weight_ih_l0").dtype, "I8");
  EXPECT_EQ(saved.tensor("model.head.weight").dtype, "F32");
  EXPECT_EQ(saved.tensor("conv.weight").shape, (Dims{4, 3, 2}));
  expect_error(ErrorCode::bad_file, {"no whole model"}, [&] { load_model(saved); });

  const StateDict again = load_state_dict(saved);
  ASSERT_EQ(again.layers.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(to_string(again.layers[i].second), to_string(quantized.layers[i].second));
  EXPECT_EQ(again.others, floats.others);
  save_state_dict(again, saved, folder / "b");
  EXPECT_EQ(read_text(folder / "b"), read_text(folder / "a"));

  // With an architecture, part of it is a model.
  LoadOptions part;
  part.architecture = R"([{"name":"emb","kind":"embedding","num_embeddings":9,"embedding_dim":4}])";
  part.ignore_extra = true;
  EXPECT_EQ(load_model(saved, part).layers().size(), 1u);
}

TEST(StateDict, EmbeddingsWithoutAnOrder) {
  const auto kinds = [](const Tensors& tensors) {
    std::string text;
    for (const auto& [name, layer] : load_state_dict(state_dict(tensors)).layers) text += to_string(layer).substr(0, 3) + ' ';
    return text;
  };
  const Tensors rnn = lstm("rnn.", {.input_size = 48, .hidden_size = 16});
  // Only the LSTM could take what it gives, and only an embedding gives that.
  EXPECT_EQ(kinds(linear("a.", 48, 63, false) + rnn + linear("fc.", 640, 10)), "Emb LST Lin ");
  // Two heads on one LSTM: what the first takes is given, so it is none.
  EXPECT_EQ(kinds(rnn + linear("head1.", 16, 63, false) + linear("head2.", 16, 10)), "LST Lin Lin ");
  // What it gives is taken.
  EXPECT_EQ(kinds(linear("x.", 16, 48, false) + linear("y.", 16, 48) + lstm("z.", {.input_size = 48, .hidden_size = 5}) +
                  linear("fc.", 640, 10)),
            "Lin Lin LST Lin ");
}

TEST(StateDict, NotesSayWhatLooksLikeALayer) {
  const StateDict dict = load_state_dict(state_dict({{"gru.weight_ih_l0", {12, 3}}, {"gru.weight_hh_l0", {12, 4}}}));
  EXPECT_TRUE(dict.layers.empty());
  ASSERT_EQ(dict.notes.size(), 1u);
  EXPECT_NE(dict.notes[0].find("\"gru.weight_ih_l0\""), std::string::npos);
  EXPECT_EQ(dict.others.size(), 2u);
}

TEST(StateDict, TensorsKeepTheirBytes) {
  SafetensorsWriter writer;
  const std::vector<double> odd = {1.0, 2.0, 3.0};
  writer.add("buffer", "F64", Dims{3}, std::as_bytes(std::span(odd)));
  const Tensor weight = random_tensor({4, 3});
  writer.add("fc.weight", Dims{4, 3}, weight.data);
  const SafetensorsFile file = SafetensorsFile::parse(writer.bytes(), "x");
  const TemporaryFolder folder;
  save_state_dict(quantize_dynamic(load_state_dict(file)), file, folder / "a");
  const SafetensorsFile saved = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(saved.tensor("buffer").dtype, "F64");
  EXPECT_TRUE(std::ranges::equal(saved.tensor("buffer").data, file.tensor("buffer").data));
  EXPECT_EQ(saved.int8s("fc.weight"), quantize_weight(weight.view(), Scheme::accurate()).data);
}

}  // namespace
}  // namespace bytegate::testing
