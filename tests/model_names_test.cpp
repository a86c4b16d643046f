// Files as other programs write them: wrappers' prefixes, dots in names, tied weights, foreign metadata, architectures
// without sizes.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

using Metadata = std::map<std::string, std::string>;

/// Tensors of random values, by name.
struct Dict {
  std::vector<std::pair<std::string, Tensor>> tensors;
  Metadata metadata;

  Dict& add(const std::string& name, std::initializer_list<std::int64_t> shape) {
    tensors.emplace_back(name, random_tensor(shape));
    return *this;
  }
  Dict& add_lstm(const std::string& prefix, std::int64_t in, std::int64_t hidden) {
    return add(prefix + "weight_ih_l0", {4 * hidden, in})
        .add(prefix + "weight_hh_l0", {4 * hidden, hidden})
        .add(prefix + "bias_ih_l0", {4 * hidden})
        .add(prefix + "bias_hh_l0", {4 * hidden});
  }
  Dict& add_linear(const std::string& prefix, std::int64_t in, std::int64_t out) {
    return add(prefix + "weight", {out, in}).add(prefix + "bias", {out});
  }
  SafetensorsFile file() const {
    SafetensorsWriter writer;
    for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
    for (const auto& [name, tensor] : tensors) writer.add(name, tensor.shape.dims(), tensor.data);
    return SafetensorsFile::parse(writer.bytes(), "dict.safetensors");
  }
};

Dict lstm_fc(const std::string& prefix) {
  Dict dict;
  dict.add_lstm(prefix + "lstm.", 3, 5).add_linear(prefix + "fc.", 5, 2);
  return dict;
}

LoadOptions with_architecture(const std::string& text, LoadReport* report = nullptr) {
  LoadOptions options;
  options.architecture = text;
  options.report = report;
  return options;
}

LoadOptions guessing(LoadReport* report = nullptr) {
  LoadOptions options;
  options.guess_architecture = true;
  options.report = report;
  return options;
}

const char* const kLstmFc = R"([{"name":"lstm","kind":"lstm"},{"name":"fc","kind":"linear"}])";

std::vector<std::string> layer_names(const Sequential& model) {
  std::vector<std::string> names;
  for (const auto& [name, layer] : model.layers()) names.push_back(name);
  return names;
}

TEST(ModelNames, WrappersAreLeftOut) {
  for (const std::string prefix :
       {"module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.model.", "model.model.module."}) {
    LoadReport report;
    const Dict dict = lstm_fc(prefix);
    const Sequential model = load_model(dict.file(), guessing(&report));
    EXPECT_EQ(layer_names(model), (std::vector<std::string>{"lstm", "fc"})) << prefix;
    EXPECT_EQ(report.stripped_prefix, prefix);
    EXPECT_EQ(report.tensor_prefixes, (std::vector<std::string>{prefix + "lstm.", prefix + "fc."}));
    // An architecture may name layers either way.
    for (const std::string& stated : {std::string(), prefix, std::string("module.")}) {
      const std::string text =
          R"([{"name":")" + stated + R"(lstm","kind":"lstm"},{"name":")" + stated + R"(fc","kind":"linear"}])";
      EXPECT_EQ(run_model(load_model(dict.file(), with_architecture(text, &report))), run_model(model))
          << prefix << ' ' << stated;
      EXPECT_EQ(report.stripped_prefix, stated == prefix ? "" : stated.empty() ? prefix : report.stripped_prefix);
    }
    EXPECT_EQ(load_state_dict(dict.file()).stripped_prefix, prefix);
  }
  // A file without the wrappers that the architecture names.
  const std::string text = R"([{"name":"module.lstm","kind":"lstm"},{"name":"module.fc","kind":"linear"}])";
  EXPECT_EQ(layer_names(load_model(lstm_fc("").file(), with_architecture(text))),
            (std::vector<std::string>{"module.lstm", "module.fc"}));
}

TEST(ModelNames, LayersOfAStateDict) {
  const StateDict dict = load_state_dict(lstm_fc("module.").file());
  EXPECT_EQ(&dict.layer("fc"), dict.layers[1].layer.get());
  EXPECT_EQ(&dict.layer<LSTM>("lstm"), dict.layers[0].layer.get());
  EXPECT_EQ(&dict.layer<RecurrentLayer>("lstm"), dict.layers[0].layer.get());
  expect_error(ErrorCode::invalid_argument, {"no layer 'module.lstm'", "lstm, fc"}, [&] { dict.layer("module.lstm"); });
  expect_error(ErrorCode::invalid_argument, {"no layer 'gru'", "lstm, fc"}, [&] { dict.layer<LSTM>("gru"); });
  expect_error(ErrorCode::invalid_argument, {"'fc'", "another class", "Linear("}, [&] { dict.layer<LSTM>("fc"); });
  expect_error(ErrorCode::invalid_argument, {"no layer 'x'"}, [&] { StateDict().layer("x"); });
}

TEST(ModelNames, WhatIsNoWrapper) {
  LoadReport report;
  Dict some = lstm_fc("module.");
  some.add_linear("head.", 2, 2);  // not all names begin with it
  EXPECT_EQ(layer_names(load_model(some.file(), guessing(&report))),
            (std::vector<std::string>{"module.lstm", "module.fc", "head"}));
  EXPECT_EQ(report.stripped_prefix, "");
  // A layer's own last name.
  for (const auto& [prefix, stripped] :
       std::map<std::string, std::string>{{"model.", ""}, {"module.model.", "module."}}) {
    Dict lone;
    lone.add_linear(prefix, 3, 2);
    EXPECT_EQ(layer_names(load_model(lone.file(), with_architecture("", &report))), std::vector<std::string>{"model"});
    EXPECT_EQ(report.stripped_prefix, stripped);
    EXPECT_EQ(layer_names(load_model(lone.file(), with_architecture(R"([{"name":"fc","kind":"linear"}])"))),
              std::vector<std::string>{"fc"});
  }
  Dict other = lstm_fc("network.");
  EXPECT_EQ(layer_names(load_model(other.file(), guessing())),
            (std::vector<std::string>{"network.lstm", "network.fc"}));
}

TEST(ModelNames, DotsInNames) {
  Dict dict;
  dict.add_lstm("layers.0.", 3, 5).add_linear("layers.1.fc.", 5, 2);
  const std::string text =
      R"([{"name":"layers.0","kind":"lstm"},{"name":"r","kind":"relu"},{"name":"layers.1.fc","kind":"linear"}])";
  const Sequential model = load_model(dict.file(), with_architecture(text));
  const TemporaryFolder folder;
  for (const Sequential& m : {model, quantize_dynamic(model)}) {
    save_model(m, folder / "a");
    const Sequential again = load_model(folder / "a");
    EXPECT_EQ(to_string(again), to_string(m));
    EXPECT_EQ(run_model(again), run_model(m));
    save_model(again, folder / "b");
    EXPECT_EQ(read_text(folder / "a"), read_text(folder / "b"));
  }
  // A saved model's names are its own, wrappers or not.
  Sequential wrapped("w");
  wrapped.add("module.a", random_linear(3, 4, true));
  wrapped.add("module.b", random_linear(4, 2, false));
  save_model(wrapped, folder / "c");
  EXPECT_EQ(to_string(load_model(folder / "c")), to_string(wrapped));
}

TEST(ModelNames, SavedUnderTheNamesOfTheInput) {
  const TemporaryFolder folder;
  for (const std::string prefix : {"module.", "module._orig_mod."}) {
    LoadReport report;
    const Sequential model = quantize_dynamic(load_model(lstm_fc(prefix).file(), guessing(&report)));
    save_model(model, folder / "a", {report.tensor_prefixes, report.guessed});
    const SafetensorsFile saved = SafetensorsFile::load(folder / "a");
    EXPECT_EQ(saved.tensor(prefix + "lstm.weight_hh_l0").dtype, "I8");
    EXPECT_TRUE(saved.contains(prefix + "fc.weight_scale"));
    EXPECT_EQ(run_model(load_model(saved, with_architecture("", &report))), run_model(model));
    EXPECT_TRUE(report.guessed) << "the file says that it was";
  }
  Dict lone;
  lone.add_linear("", 3, 2);
  LoadReport report;
  const Sequential model = quantize_dynamic(load_model(lone.file(), with_architecture("", &report)));
  save_model(model, folder / "lone", {report.tensor_prefixes, false});
  EXPECT_TRUE(SafetensorsFile::load(folder / "lone").contains("weight_scale"));
  EXPECT_EQ(to_string(load_model(folder / "lone")), to_string(model));
  expect_error(ErrorCode::invalid_argument, {"2 entries for 1 layers"}, [&] {
    save_model(model, folder / "x", {{"a.", "b."}, false});
  });
  expect_error(ErrorCode::invalid_argument, {"does not end"}, [&] { save_model(model, folder / "x", {{"a"}, false}); });
}

Dict tied(const Metadata& metadata) {
  Dict dict;
  dict.add_linear("decoder.", 10, 30).add_lstm("rnn.", 10, 10);
  dict.metadata = metadata;
  return dict;
}

const char* const kTied =
    "Sequential(\n  (encoder): Embedding(30, 10)\n  (rnn): LSTM(10, 10)\n  (decoder): Linear(in_features=10, "
    "out_features=30, "
    "bias=True)\n)";

TEST(ModelNames, TiedWeights) {
  const std::string architecture =
      R"([{"name":"encoder","kind":"embedding"},{"name":"rnn","kind":"lstm"},{"name":"decoder","kind":"linear"}])";
  for (const Metadata& metadata :
       {Metadata{{"encoder.weight", "decoder.weight"}, {"format", "pt"}},
        Metadata{{"encoder.weight", "first.weight"}, {"first.weight", "second"}, {"second", "decoder.weight"}},
        Metadata{{"encoder.weight", "decoder.weight"},
                 {"a.weight", "b.weight"},
                 {"b.weight", "a.weight"},
                 {"c.weight", "c.weight"},
                 {"d.weight", "nothing"}}}) {
    const SafetensorsFile file = tied(metadata).file();
    const Sequential stated = load_model(file, with_architecture(architecture));
    EXPECT_EQ(to_string(stated), kTied);
    const auto& embedding = as<Embedding>(stated.layers()[0].layer);
    EXPECT_EQ(embedding.weight().floats().data, file.floats("decoder.weight"));
    if (metadata.count("first.weight") == 0) {
      EXPECT_EQ(to_string(load_model(file, guessing())), kTied);
    }
  }
  // The other name kept.
  Dict kept;
  kept.add("encoder.weight", {30, 10}).add("decoder.bias", {30}).add_lstm("rnn.", 10, 10);
  kept.metadata = {{"decoder.weight", "encoder.weight"}};
  EXPECT_EQ(to_string(load_model(kept.file(), guessing())), kTied);
  // Both without a bias: which is first makes no difference.
  Dict same;
  same.add("decoder.weight", {30, 10}).add_lstm("rnn.", 10, 10);
  same.metadata = {{"encoder.weight", "decoder.weight"}};
  EXPECT_EQ(layer_names(load_model(same.file(), guessing())), (std::vector<std::string>{"encoder", "rnn", "decoder"}));
  // Behind a wrapper.
  Dict wrapped;
  wrapped.add_linear("module.decoder.", 10, 30).add_lstm("module.rnn.", 10, 10);
  wrapped.metadata = {{"module.encoder.weight", "module.decoder.weight"}};
  EXPECT_EQ(to_string(load_model(wrapped.file(), guessing())), kTied);
  // Nowhere: the embedding is not there.
  expect_error(ErrorCode::bad_file, {"encoder"}, [&] {
    load_model(tied({{"x", "y"}}).file(), with_architecture(architecture));
  });
}

TEST(ModelNames, TiedWeightsInStateDicts) {
  Dict dict = tied({{"encoder.weight", "decoder.weight"}, {"conv2.weight", "conv1.weight"}});
  dict.add("conv1.weight", {2, 3, 4});
  const SafetensorsFile file = dict.file();
  const StateDict floats = load_state_dict(file);
  ASSERT_EQ(floats.layers.size(), 3u);
  const TemporaryFolder folder;
  save_state_dict(quantize_dynamic(floats), file, folder / "a");
  const SafetensorsFile saved = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(saved.floats("encoder.weight"), file.floats("decoder.weight"));
  EXPECT_EQ(saved.tensor("decoder.weight").dtype, "I8");
  EXPECT_EQ(saved.metadata().at("conv2.weight"), "conv1.weight");
  LoadOptions options = guessing();
  options.ignore_extra = true;
  EXPECT_EQ(to_string(load_model(saved, options)).find("(encoder): Embedding(30, 10)"),
            std::string("Sequential(\n  ").size());
}

TEST(ModelNames, QuantizedStateDictTakesTheFloatModelsArchitecture) {
  const SafetensorsFile file = lstm_fc("module.").file();
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(true, 7)}) {
    const TemporaryFolder folder;
    save_state_dict(quantize_dynamic(load_state_dict(file), quantize_options(scheme)), file, folder / "a");
    EXPECT_TRUE(SafetensorsFile::load(folder / "a").contains("module.lstm.weight_ih_l0_scale"));
    const Sequential expected =
        quantize_dynamic(load_model(file, with_architecture(kLstmFc)), quantize_options(scheme));
    LoadReport report;
    for (const LoadOptions& options : {with_architecture(kLstmFc, &report), guessing(&report)}) {
      const Sequential loaded = load_model(folder / "a", options);
      EXPECT_EQ(to_string(loaded), to_string(expected));
      EXPECT_EQ(run_model(loaded), run_model(expected));
      EXPECT_EQ(report.guessed, options.guess_architecture);
    }
  }
}

TEST(ModelNames, ForeignMetadata) {
  LoadReport report;
  for (const std::string text : {"BiLSTM", "", "[BiLSTM]", "[\"BiLSTM\"]", "{\"name\":\"x\"}", "[]", "[1"}) {
    Dict dict = lstm_fc("");
    dict.metadata = {
        {"architecture", text}, {"layers", "2"}, {"scheme", "mine"}, {"format_version", "7"}, {"name", "Tagger"}};
    const Sequential model = load_model(dict.file(), guessing(&report));
    EXPECT_EQ(layer_names(model), (std::vector<std::string>{"lstm", "fc"})) << text;
    EXPECT_EQ(report.notes.size(), text.empty() ? 0u : 1u) << text;
    if (!text.empty()) {
      expect_error(ErrorCode::bad_file, {"the metadata's `architecture`", "2 layers"},
                   [&] { load_model(dict.file()); });
    }
  }
  Dict dict = lstm_fc("");
  dict.metadata = {{"architecture", std::string(" ") + kLstmFc}};
  EXPECT_EQ(load_model(dict.file()).layers().size(), 2u);
  dict.metadata = {{"architecture", R"([{"name":"lstm","kind":"conv9"}])"}};  // meant as one, with a mistake in it
  expect_error(ErrorCode::bad_file, {"unknown kind \"conv9\""}, [&] { load_model(dict.file()); });
}

TEST(ModelNames, SizesAreOptional) {
  for (const bool bias : {true, false}) {
    for (const std::int64_t proj : {0, 2}) {
      Sequential model("m");
      model.add("e", Embedding(random_tensor({7, 6}).view()));
      const LSTMConfig config{.input_size = 6,
                              .hidden_size = 5,
                              .num_layers = 2,
                              .bias = bias,
                              .batch_first = true,
                              .bidirectional = bias,
                              .proj_size = proj};
      model.add("l", random_lstm(config));
      model.add("f", random_linear(config.directions() * config.output_size(), 3, bias, true));
      for (const Sequential& m :
           {model, quantize_dynamic(model, quantize_options({}, {"linear", "lstm", "embedding"}))}) {
        const TemporaryFolder folder;
        save_model(m, folder / "a");
        const std::string text = R"([{"name":"e","kind":"embedding"},{"name":"i","kind":"identity","anything":[1]},
            {"name":"l","kind":"lstm","batch_first":true,"dropout":0.2},
            {"name":"d","kind":"dropout","p":0.5,"inplace":false},
            {"name":"f","kind":"linear","relu":true}])";
        const Sequential loaded = load_model(folder / "a", with_architecture(text));
        EXPECT_EQ(architecture_json(loaded), architecture_json(m));
        EXPECT_EQ(run_model(loaded), run_model(m));
      }
    }
  }
}

TEST(ModelNames, WhatIsStatedMustAgree) {
  Dict dict;
  dict.add_lstm("l.", 3, 5)
      .add("l.weight_ih_l1", {20, 5})
      .add("l.weight_hh_l1", {20, 5})
      .add("l.bias_ih_l1", {20})
      .add("l.bias_hh_l1", {20});
  const auto refused = [&](const std::vector<std::string>& parts, const std::string& keys) {
    const std::string text = R"([{"name":"l","kind":"lstm")" + keys + "}]";
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(dict.file(), with_architecture(text)); });
  };
  EXPECT_EQ(
      load_model(dict.file(), with_architecture(R"([{"name":"l","kind":"lstm","hidden_size":5}])")).layers().size(),
      1u);
  refused({"\"l.weight_ih_l0\" has shape [20, 3]; the architecture asks for [24, 3]"}, R"(,"hidden_size":6)");
  refused({"the architecture asks for [20, 4]"}, R"(,"input_size":4)");
  refused({"\"l\" has num_layers 1", "2 layers"}, R"(,"num_layers":1)");
  refused({"no tensor \"l.weight_ih_l2\""}, R"(,"num_layers":3)");
  refused({"num_layers is 1000000000", "1 to 65536"}, R"(,"num_layers":1000000000)");
  refused({"\"l\" has bias false", "l.bias_ih_l0"}, R"(,"bias":false)");
  refused({"no tensor \"l.weight_ih_l0_reverse\""}, R"(,"bidirectional":true)");
  refused({"the architecture asks for [20, 2]"}, R"(,"proj_size":2)");
  refused({"hidden_size"}, R"(,"hidden_size":0)");
  refused({"integer"}, R"(,"hidden_size":-1)");
  const auto other = [&](const std::vector<std::string>& parts, const std::string& layer, const Dict& tensors) {
    expect_error(ErrorCode::bad_file, parts, [&] { load_model(tensors.file(), with_architecture("[" + layer + "]")); });
  };
  other({"\"q\" leaves its sizes to the tensor \"q.weight\", which is not in the file"},
        R"({"name":"q","kind":"linear"})", lstm_fc(""));
  Dict vector;
  vector.add("v.weight", {3});
  for (const auto& [name, rows] : {std::pair("gru", 9), {"rnn", 3}, {"odd", 10}}) {
    vector.add(name + std::string(".weight_ih_l0"), {rows, 2}).add(name + std::string(".weight_hh_l0"), {rows, 3});
  }
  other({"\"v\"", "whose shape is [3]; a matrix is expected"}, R"({"name":"v","kind":"linear"})", vector);
  other({"\"gru\" has 3 rows of weight_ih_l0 for each hidden unit, as a GRU has"}, R"({"name":"gru","kind":"lstm"})",
        vector);
  other({"\"rnn\" has a row of weight_ih_l0 for each hidden unit, as a plain RNN has"},
        R"({"name":"rnn","kind":"lstm"})", vector);
  other({"\"odd\" has 10 rows of weight_ih_l0 for 3 hidden units"}, R"({"name":"odd","kind":"lstm"})", vector);
  // A mistyped field is an error, one that changes nothing is none.
  other({"\"fc\" has the unknown key \"in_feature\"; accepted are bias, dtype, in_features, kind, name, out_features, "
         "relu"},
        R"({"name":"lstm","kind":"lstm"},{"name":"fc","kind":"linear","in_feature":5})", lstm_fc(""));
  Dict table;
  table.add("e.weight", {4, 3});
  const char* const ignored =
      R"([{"name":"e","kind":"embedding","padding_idx":null},{"name":"r","kind":"relu","inplace":true}])";
  EXPECT_EQ(load_model(table.file(), with_architecture(ignored)).layers().size(), 2u);
}

TEST(ModelNames, ArchitecturesThatCouldNotBeReadAreNotWritten) {
  Sequential model("m");
  const std::string name(200'000, 'x');
  for (int i = 0; i < 5; ++i) model.add(name + std::to_string(i), ReLU());
  const TemporaryFolder folder;
  save_model(model, folder / "a");
  EXPECT_EQ(load_model(folder / "a").layers().size(), 5u);
  model.add(name, ReLU());
  expect_error(ErrorCode::invalid_argument, {"1048576"}, [&] { save_model(model, folder / "b"); });
  EXPECT_EQ(folder.names().size(), 1u);
}

}  // namespace
}  // namespace bytegate::testing
