// Models recognized from the names and shapes of a state dict's tensors, and state dicts that are no whole model.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <limits>
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

LoadOptions guessing(LoadReport* report = nullptr) {
  LoadOptions options;
  options.guess_architecture = true;
  options.report = report;
  return options;
}

std::string recognized(const Tensors& tensors) { return to_string(load_model(state_dict(tensors), guessing())); }

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
            LoadReport report;
            LoadOptions options;  // one layer is a model without a guess
            options.report = &report;
            const Sequential model = load_model(state_dict(lstm(prefix, config)), options);
            EXPECT_FALSE(report.guessed);
            EXPECT_EQ(report.tensor_prefixes, std::vector<std::string>{prefix});
            ASSERT_EQ(model.layers().size(), 1u);
            EXPECT_EQ(model.layers()[0].name, prefix.empty() ? "lstm" : "rnn");
            EXPECT_EQ(as<LSTM>(model.layers()[0].layer).config(), config) << to_string(model);
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
  EXPECT_EQ(recognized(linear("fc.", 3, 2)),
            "Sequential(\n  (fc): Linear(in_features=3, out_features=2, bias=True)\n)");
  EXPECT_EQ(recognized(linear("", 3, 2, false)),
            "Sequential(\n  (linear): Linear(in_features=3, out_features=2, bias=False)\n)");
  EXPECT_EQ(recognized(linear("fc1.", 3, 5) + linear("fc2.", 5, 5, false) + linear("fc3.", 5, 1)),
            "Sequential(\n  (fc1): Linear(in_features=3, out_features=5, bias=True)\n  (fc2): Linear(in_features=5, "
            "out_features=5, bias=False)\n"
            "  (fc3): Linear(in_features=5, out_features=1, bias=True)\n)");
}

TEST(Recognize, Embedding) {
  const std::string model =
      "Sequential(\n  (e): Embedding(63, 48)\n  (lstm): LSTM(48, 16)\n  (decoder): Linear(in_features=16, "
      "out_features=63, "
      "bias=True)\n)";
  const Tensors rest = lstm("lstm.", {.input_size = 48, .hidden_size = 16}) + linear("decoder.", 16, 63);
  EXPECT_EQ(recognized(linear("e.", 48, 63, false) + rest), model);
  // With a bias it is a Linear, which does not fit.
  expect_error(ErrorCode::bad_file, {"in no order", "e: Linear(in_features=48, out_features=63, bias=True)"},
               [&] { recognized(linear("e.", 48, 63) + rest); });
  // A Linear without bias where only that fits.
  const Tensors head = linear("head.", 8, 2);
  EXPECT_NE(recognized(linear("first.", 3, 8, false) + head).find("(first): Linear(in_features=3"), std::string::npos);
  // Where both fit, only a name that says so decides.
  expect_error(ErrorCode::bad_file, {"more than one order", "first (an Embedding), head"},
               [&] { recognized(linear("first.", 8, 8, false) + head); });
  for (const std::string name : {"embedding", "tok_embed", "Emb"}) {
    EXPECT_NE(recognized(linear(name + '.', 8, 8, false) + head).find("): Embedding(8, 8)"), std::string::npos) << name;
  }
  // Sizes go before names.
  EXPECT_NE(recognized(linear("embedded.", 3, 8, false) + head).find("(embedded): Linear(in_features=3"),
            std::string::npos);
  EXPECT_NE(recognized(linear("embed.", 8, 5, false)).find("Embedding(5, 8)"), std::string::npos);
}

TEST(Recognize, SeveralLayersAreNoModel) {
  const Tensors tensors =
      lstm("lstm.", {.input_size = 10, .hidden_size = 20}) + linear("fc.", 20, 3) + linear("skip.", 20, 3, false);
  const auto error = error_of([&] { load_model(state_dict(tensors)); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(static_cast<int>(error->code()), static_cast<int>(ErrorCode::bad_file));
  const std::string text = error->what();
  for (const char* part :
       {"lstm: LSTM(10, 20)", "fc: Linear(in_features=20, out_features=3, bias=True)", "architecture",
        "LoadOptions::architecture", "--architecture FILE", "LoadOptions::guess_architecture", "--guess",
        "skip: Linear(in_features=20, out_features=3, bias=False) or Embedding(3, 20)"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks " << part;
  }
  // Also where one order only fits.
  expect_error(ErrorCode::bad_file, {"architecture"}, [] {
    load_model(state_dict(lstm("lstm.", {.input_size = 10, .hidden_size = 20}) + linear("fc.", 20, 3)));
  });
}

TEST(Recognize, GuessesTheOrderBySizesAlone) {
  // Whatever the order of the data: as PyTorch has it, by name, backwards.
  const Tensors embedding = linear("encoder.", 48, 63, false),
                rnn = lstm("lstm.", {.input_size = 48, .hidden_size = 16}), fc = linear("decoder.", 16, 63);
  for (const Tensors& tensors : {embedding + rnn + fc, fc + embedding + rnn, fc + rnn + embedding}) {
    LoadReport report;
    EXPECT_EQ(
        to_string(load_model(state_dict(tensors), guessing(&report))),
        "Sequential(\n  (encoder): Embedding(63, 48)\n  (lstm): LSTM(48, 16)\n  (decoder): Linear(in_features=16, "
        "out_features=63, bias=True)\n)");
    EXPECT_TRUE(report.guessed);
  }
  // More than one order fits: that of the data is no better than another.
  const LSTMConfig square{.input_size = 16, .hidden_size = 16};
  for (const Tensors& tensors :
       {linear("b.", 4, 4) + linear("a.", 4, 4), linear("z.", 4, 2) + linear("a.", 4, 4) + linear("b.", 4, 4),
        lstm("decoder.", square) + lstm("encoder.", square) + linear("out.", 16, 16),
        linear("fc.", 16, 16) + lstm("lstm.", square)}) {
    expect_error(ErrorCode::bad_file, {"more than one order", "architecture"}, [&] { recognized(tensors); });
  }
  expect_error(ErrorCode::bad_file, {"dict.safetensors", "in no order", "architecture"},
               [&] { recognized(lstm("lstm.", {.input_size = 4, .hidden_size = 32}) + linear("fc.", 640, 10)); });
  Tensors many;  // 30 layers of one size after another of its own: no order is tried for ever
  for (int i = 0; i < 30; ++i) many = many + linear("l" + std::to_string(i) + '.', i % 3 + 1, i % 3 + 2);
  expect_error(ErrorCode::bad_file, {"architecture"}, [&] { recognized(many); });
  Tensors chain;
  for (int i = 0; i < 40; ++i) chain = linear("l" + std::to_string(i) + '.', i + 1, i + 2) + chain;
  EXPECT_EQ(load_model(state_dict(chain), guessing()).layers().back().name, "l39");
}

TEST(Recognize, Charlm) {
  const std::filesystem::path path =
      std::filesystem::path(BYTEGATE_SOURCE_DIR) / "examples/data/charlm/model.safetensors";
  const SafetensorsFile file = SafetensorsFile::load(path);
  SafetensorsWriter bare;  // the same tensors, by name and without the architecture
  for (const auto& [name, t] : file.tensors()) bare.add(name, t.dtype, t.shape, tensor_bytes(file, name));
  EXPECT_EQ(to_string(load_model(SafetensorsFile::parse(bare.bytes(), "bare"), guessing())),
            to_string(load_model(path)));
}

TEST(Recognize, SizesThatNoProgramCanMultiply) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  for (const Tensors& tensors :
       std::vector<Tensors>{{{"a.weight_ih_l0", {0, kHuge}}, {"a.weight_hh_l0", {0, kHuge}}},
                            {{"a.weight_ih_l0", {kHuge, 0}}, {"a.weight_hh_l0", {0, kHuge}}},
                            {{"a.weight_ih_l0", {0, 1}}, {"a.weight_hh_l0", {0, 1}}, {"a.weight_hr_l0", {kHuge, 0}}},
                            {{"a.weight", {kHuge, 0}}},
                            {{"a.weight", {0, kHuge}}},
                            {{"a.weight_ih", {0, kHuge}}, {"a.weight_hh", {0, kHuge}}}}) {
    expect_error(ErrorCode::bad_file, {"recognized"}, [&] { recognized(tensors); });
    for (const char* kind : {"linear", "lstm", "embedding"}) {
      LoadOptions options;
      options.architecture = R"([{"name":"a","kind":")" + std::string(kind) + "\"}]";
      expect_error(ErrorCode::bad_file, {"\"a"}, [&] { load_model(state_dict(tensors), options); });
    }
  }
}

TEST(Recognize, WhatIsNoLayer) {
  const auto refused = [](const std::vector<std::string>& parts, const Tensors& tensors) {
    expect_error(ErrorCode::bad_file, parts, [&] { recognized(tensors); });
  };
  refused({"or Linear is recognized in its 0 tensors"}, {});
  refused({"recognized in its 2 tensors"}, {{"conv.weight", {4, 3, 2}}, {"conv.bias", {4}}});
  refused({"needs a matrix \"g.weight_hh_l0\", which is not in the file"}, {{"g.weight_ih_l0", {16, 3}}});
  refused({"13 rows of weight_ih_l0 for 4 hidden units"}, {{"g.weight_ih_l0", {13, 3}}, {"g.weight_hh_l0", {13, 4}}});
  refused({"not taken for a Linear's: its module has \"fc.bias\" of shape [3], not [2]"},
          {{"fc.weight", {2, 3}}, {"fc.bias", {3}}});
  refused({"has \"mask\" besides"}, {{"fc.weight", {2, 3}}, {"fc.bias", {2}}, {"fc.mask", {2, 3}}});
  const LSTMConfig config{.input_size = 3, .hidden_size = 4, .num_layers = 2, .bidirectional = true};
  for (const auto& [name, shape] : lstm("", config)) {
    if (name == "weight_ih_l0" || name == "weight_ih_l0_reverse") continue;  // without it, another complaint
    refused({"recognized", "LSTM"}, without(lstm("", config), name));
  }
  refused({"has \"bias_xx\", which an LSTM like its first layer does not have"},
          lstm("", config) + Tensors{{"bias_xx", {16}}});
  refused({"no layer of the model uses the tensors \"norm.weight\""},
          linear("fc.", 3, 2) + Tensors{{"norm.weight", {2}}});
  expect_error(ErrorCode::bad_file, {"of dtype I64, not in floating point"},
               [] { load_model(state_dict(linear("fc.", 3, 2), "I64")); });
}

TEST(StateDict, QuantizesWhatItKnowsAndKeepsTheRest) {
  const Tensors tensors = Tensors{{"conv.weight", {4, 3, 2}}, {"conv.bias", {4}}} +
                          lstm("model.rnn.", {.input_size = 6, .hidden_size = 8}) + linear("model.head.", 5, 2) +
                          Tensors{{"norm.weight", {2}}} + linear("emb.", 4, 9, false);
  const SafetensorsFile file = state_dict(tensors);
  const StateDict floats = load_state_dict(file);
  ASSERT_EQ(floats.layers.size(), 3u);
  EXPECT_EQ(floats.layers[0].name, "model.rnn");
  EXPECT_EQ(floats.layers[1].name, "model.head");
  EXPECT_EQ(to_string(*floats.layers[2].layer), "Embedding(9, 4)");
  EXPECT_EQ(floats.others, (std::vector<std::string>{"conv.bias", "conv.weight", "norm.weight"}));
  ASSERT_EQ(floats.notes.size(), 2u);
  EXPECT_NE(floats.notes[0].find("convolution"), std::string::npos);
  EXPECT_NE(floats.notes[1].find("normalization"), std::string::npos);

  QuantizeOptions options;
  options.exclude = {"*head"};
  const StateDict quantized = quantize_dynamic(floats, options);
  EXPECT_TRUE(is<LSTM>(quantized.layers[0].layer));
  EXPECT_TRUE(is<Linear>(quantized.layers[1].layer));
  EXPECT_TRUE(is<Embedding>(quantized.layers[2].layer));
  options.exclude = {"nothing"};
  expect_error(ErrorCode::invalid_argument, {"'nothing' matches no layer", "model.head"},
               [&] { quantize_dynamic(floats, options); });

  const TemporaryFolder folder;
  save_state_dict(quantized, file, folder / "a");
  const SafetensorsFile saved = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(saved.tensor("model.rnn.weight_ih_l0").dtype, "I8");
  EXPECT_EQ(saved.tensor("model.head.weight").dtype, "F32");
  EXPECT_EQ(saved.tensor("conv.weight").shape, (Dims{4, 3, 2}));
  expect_error(ErrorCode::bad_file, {"architecture", "model.head: Linear(in_features=5, out_features=2, bias=True)"},
               [&] { load_model(saved); });

  const StateDict again = load_state_dict(saved);
  ASSERT_EQ(again.layers.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(to_string(*again.layers[i].layer), to_string(*quantized.layers[i].layer));
  EXPECT_EQ(again.others, floats.others);
  save_state_dict(again, saved, folder / "b");
  EXPECT_EQ(read_text(folder / "b"), read_text(folder / "a"));

  // With an architecture, part of it is a model.
  LoadOptions part;
  part.architecture = R"([{"name":"emb","kind":"embedding","num_embeddings":9,"embedding_dim":4}])";
  part.ignore_extra = true;
  EXPECT_EQ(load_model(saved, part).layers().size(), 1u);
}

TEST(StateDict, OneLayerIsNoModelEither) {
  const TemporaryFolder folder;
  StateDict one;
  one.layers = {{"fc", std::make_shared<const Linear>(Tensor(Shape{2, 3}, std::vector<float>(6, 1.0f)).view(),
                                                      ConstTensorView{})}};
  one.tensor_prefixes = {"fc."};
  save_state_dict(one, SafetensorsFile::parse(SafetensorsWriter().bytes(), "nothing"), folder / "a");
  expect_error(ErrorCode::bad_file, {"it holds 1 layer but no architecture"}, [&] { load_model(folder / "a"); });
  LoadOptions stated;
  stated.architecture = R"([{"name":"fc","kind":"linear"}])";
  EXPECT_EQ(load_model(folder / "a", stated).layers().size(), 1u);
}

TEST(StateDict, EmbeddingsWithoutAnOrder) {
  const auto kinds = [](const Tensors& tensors) {
    std::string text;
    for (const auto& [name, layer] : load_state_dict(state_dict(tensors)).layers)
      text += to_string(*layer).substr(0, 3) + ' ';
    return text;
  };
  const Tensors rnn = lstm("rnn.", {.input_size = 48, .hidden_size = 16});
  // The LSTM accepts the 48 columns; no layer accepts the 63 rows or returns 48 features: an Embedding.
  EXPECT_EQ(kinds(linear("a.", 48, 63, false) + rnn + linear("fc.", 640, 10)), "Emb LST Lin ");
  // Two heads on one LSTM, which returns the 16 features that the first accepts: no Embedding.
  EXPECT_EQ(kinds(rnn + linear("head1.", 16, 63, false) + linear("head2.", 16, 10)), "LST Lin Lin ");
  // Another layer accepts the 48 rows: no Embedding.
  EXPECT_EQ(kinds(linear("x.", 16, 48, false) + linear("y.", 16, 48) +
                  lstm("z.", {.input_size = 48, .hidden_size = 5}) + linear("fc.", 640, 10)),
            "Lin Lin LST Lin ");
}

TEST(StateDict, AGuessOfSavedLayersIsAsOpenAsThatOfTheirTensors) {
  const TemporaryFolder folder;
  const auto saved = [&](const Tensors& tensors, const std::string& architecture = "") {
    const SafetensorsFile file = state_dict(tensors);
    LoadOptions options;
    options.architecture = architecture;
    save_state_dict(quantize_dynamic(load_state_dict(file, options)), file, folder / "a");
    return SafetensorsFile::load(folder / "a");
  };
  // Saved as a Linear, since nothing showed that it is none; it may still be an Embedding.
  const SafetensorsFile ambiguous = saved(linear("first.", 8, 8, false) + linear("head.", 8, 2));
  EXPECT_EQ(to_string(*load_state_dict(ambiguous).layers[0].layer).substr(0, 22), "DynamicQuantizedLinear");
  expect_error(ErrorCode::bad_file, {"first: Linear(in_features=8, out_features=8, bias=False) or Embedding(8, 8)"},
               [&] { load_model(ambiguous); });
  expect_error(ErrorCode::bad_file, {"more than one order", "first (an Embedding), head"},
               [&] { load_model(ambiguous, guessing()); });
  const SafetensorsFile listed =
      saved(linear("e.", 48, 63, false) + lstm("lstm.", {.input_size = 48, .hidden_size = 16}),
            R"([{"name":"e","kind":"linear"},{"name":"r","kind":"relu"},{"name":"lstm","kind":"lstm"}])");
  expect_error(ErrorCode::bad_file, {"in no order", "r: ReLU()"}, [&] { load_model(listed, guessing()); });
  // Two layers of one name, as no program writes them, are an error.
  SafetensorsWriter writer;
  for (const auto& [key, value] : listed.metadata()) {
    if (key != "layers") writer.set_metadata(key, value);
  }
  writer.set_metadata("layers", R"([{"name":"e","kind":"linear","in_features":48,"out_features":63,"bias":false},)"
                                R"({"name":"e","kind":"embedding","num_embeddings":63,"embedding_dim":48}])");
  const std::vector<float> zeros(63 * 48);
  writer.add("e.weight", Dims{63, 48}, zeros);
  const SafetensorsFile twice = SafetensorsFile::parse(writer.bytes(), "twice");
  expect_error(ErrorCode::bad_file, {"2 layers"}, [&] { load_model(twice); });
}

TEST(StateDict, NotesSayWhatLooksLikeALayer) {
  const StateDict dict = load_state_dict(state_dict({{"gru.weight_ih_l0", {12, 3}}, {"gru.weight_hh_l0", {12, 5}}}));
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
  EXPECT_TRUE(tensor_bytes(saved, "buffer") == tensor_bytes(file, "buffer"));
  EXPECT_EQ(saved.int8s("fc.weight"), quantize_weight(weight.view(), Scheme::per_row()).data);
}

}  // namespace
}  // namespace bytegate::testing
