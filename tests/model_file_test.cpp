// Models to files and back: every option, float and quantized, byte-identical when saved again.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

Sequential language_model() {
  Sequential model("CharModel");
  model.add("encoder", Embedding(random_tensor({11, 6}).view()));
  model.add("lstm", random_lstm({.input_size = 6, .hidden_size = 10, .num_layers = 2}));
  model.add("decoder", random_linear(10, 11, true));
  return model;
}

Sequential every_option() {
  Sequential model("Every \"option\" \xC3\xA9");
  model.add("first", random_linear(5, 7, true, true));
  model.add("relu", ReLU());
  model.add("deep",
            random_lstm({.input_size = 7, .hidden_size = 6, .num_layers = 2, .bias = false, .bidirectional = true}));
  model.add("narrow", random_lstm({.input_size = 12, .hidden_size = 8, .batch_first = true, .proj_size = 3}));
  model.add("both",
            random_lstm({.input_size = 3, .hidden_size = 5, .num_layers = 3, .bidirectional = true, .proj_size = 2}));
  model.add("flatten", Flatten());
  model.add("last", random_linear(8, 1, false));
  return model;
}

std::string architecture_of(const std::filesystem::path& path) {
  return SafetensorsFile::load(path).metadata().at("architecture");
}

/// After a round trip, the model must print the same, return the same bits, and save to the same bytes.
void expect_round_trip(const Sequential& model, std::int64_t batch = 2) {
  const TemporaryFolder folder;
  save_model(model, folder / "a");
  const Sequential loaded = load_model(folder / "a");
  EXPECT_EQ(to_string(loaded), to_string(model));
  EXPECT_EQ(architecture_json(loaded), architecture_json(model));
  EXPECT_EQ(architecture_of(folder / "a"), architecture_json(model));
  EXPECT_EQ(run_model(loaded, batch), run_model(model, batch));
  save_model(loaded, folder / "b");
  EXPECT_EQ(read_text(folder / "b"), read_text(folder / "a"));
  save_model(model, folder / "a");
  EXPECT_EQ(read_text(folder / "b"), read_text(folder / "a")) << "the same model saved twice";
}

std::vector<Scheme> all_schemes() {
  return {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(false, 7), Scheme::torch(true, 8),
          Scheme::torch(true, 7)};
}

TEST(ModelFile, FloatRoundTrip) {
  expect_round_trip(language_model());
  expect_round_trip(every_option());
  expect_round_trip(Sequential("Empty"));
}

TEST(ModelFile, QuantizedRoundTrip) {
  for (const Scheme& scheme : all_schemes()) {
    SCOPED_TRACE(to_string(scheme));
    expect_round_trip(quantize_dynamic(every_option(), quantize_options(scheme)));
    expect_round_trip(quantize_dynamic(language_model(), quantize_options(scheme)));
    expect_round_trip(quantize_dynamic(language_model(), quantize_options(scheme, {"linear", "lstm", "embedding"})));
    expect_round_trip(quantize_dynamic(language_model(), quantize_options(scheme, {"embedding"})));
    expect_round_trip(quantize_dynamic(language_model(), quantize_options(scheme, {"linear", "lstm"}, {"lstm"})));
  }
}

TEST(ModelFile, LayersOfDifferentSchemes) {
  const Sequential floats = language_model();
  Sequential mixed("Mixed");
  const std::vector<Scheme> schemes = {Scheme::per_row(), Scheme::torch(false, 7), Scheme::torch(true, 8)};
  mixed.add("a", random_linear(4, 4, true).quantize_dynamic(schemes[1], nullptr));
  mixed.add("b", random_lstm({.input_size = 4, .hidden_size = 4}).quantize_dynamic(schemes[0], nullptr));
  mixed.add("c", random_linear(4, 3, true).quantize_dynamic(schemes[1], nullptr));
  mixed.add("d", random_linear(3, 3, true));
  expect_round_trip(mixed);
  EXPECT_EQ(architecture_json(mixed),
            R"([{"name":"a","kind":"linear","in_features":4,"out_features":4,"dtype":"qint8"},)"
            R"({"name":"b","kind":"lstm","input_size":4,"hidden_size":4,"dtype":"qint8","scheme":"per_row"},)"
            R"({"name":"c","kind":"linear","in_features":4,"out_features":3,"dtype":"qint8"},)"
            R"({"name":"d","kind":"linear","in_features":3,"out_features":3}])");
}

TEST(ModelFile, WhatIsInTheFile) {
  const TemporaryFolder folder;
  const Sequential model =
      quantize_dynamic(language_model(), quantize_options(Scheme::per_row(), {"linear", "lstm", "embedding"}));
  save_model(model, folder / "a");
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"architecture", architecture_json(model)},
                                                                 {"format", "bytegate"},
                                                                 {"format_version", "1"},
                                                                 {"name", "CharModel"},
                                                                 {"scheme", "per_row"}}));
  EXPECT_EQ(file.tensors().size(), 2u + 2 * 6 + 3);
  EXPECT_EQ(file.tensor("lstm.weight_hh_l1").dtype, "I8");
  EXPECT_EQ(file.tensor("lstm.weight_hh_l1").shape, (std::vector<std::int64_t>{40, 10}));
  EXPECT_EQ(file.tensor("lstm.weight_hh_l1_scale").shape, (std::vector<std::int64_t>{40}));
  EXPECT_EQ(file.tensor("lstm.bias_hh_l1").dtype, "F32");
  const auto& lstm = as<LSTM>(model.layers()[1].layer);
  EXPECT_EQ(file.int8s("lstm.weight_ih_l1"), lstm.cells()[1].weight_ih.int8s().data);
  EXPECT_EQ(file.floats("lstm.weight_ih_l1_scale"), lstm.cells()[1].weight_ih.scales());
  EXPECT_EQ(file.floats("lstm.bias_ih_l0"), lstm.cells()[0].bias_ih.data);

  const Sequential per_tensor = quantize_dynamic(language_model(), quantize_options(Scheme::torch()));
  save_model(per_tensor, folder / "b");
  EXPECT_EQ(SafetensorsFile::load(folder / "b").tensor("decoder.weight_scale").shape, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(SafetensorsFile::load(folder / "b").metadata().at("scheme"), "torch_per_tensor_8bit");
}

TEST(ModelFile, ArchitectureLeavesDefaultsOut) {
  EXPECT_EQ(
      architecture_json(every_option()),
      R"([{"name":"first","kind":"linear","in_features":5,"out_features":7,"relu":true},{"name":"relu","kind":"relu"},)"
      R"({"name":"deep","kind":"lstm","input_size":7,"hidden_size":6,"num_layers":2,"bias":false,)"
      R"("bidirectional":true},)"
      R"({"name":"narrow","kind":"lstm","input_size":12,"hidden_size":8,"batch_first":true,"proj_size":3},)"
      R"({"name":"both","kind":"lstm","input_size":3,"hidden_size":5,"num_layers":3,"bidirectional":true,)"
      R"("proj_size":2},)"
      R"({"name":"flatten","kind":"flatten"},)"
      R"({"name":"last","kind":"linear","in_features":8,"out_features":1,"bias":false}])");
  EXPECT_EQ(architecture_json(Sequential("x")), "[]");
}

TEST(ModelFile, Minus128SurvivesAndAnyBackendWritesTheSame) {
  const QuantizedWeight weight{2, 3, {-128, 127, 0, -127, -1, 1}, {0.5f, 0.0f}};
  std::string first;
  for (const BackendInfo& info : list_backends()) {
    if (!info.supported) continue;
    const TemporaryFolder folder;
    Sequential model("m");
    model.add("fc", Linear(weight, {}, Scheme::per_row(), false, info.backend));
    save_model(model, folder / "a");
    const Sequential loaded = load_model(folder / "a", {.backend = info.backend});
    const auto& linear = as<Linear>(loaded.layers()[0].layer);
    EXPECT_EQ(linear.weight().int8s().data, weight.data);
    EXPECT_EQ(linear.weight().scales(), weight.scales);
    EXPECT_EQ(&linear.backend(), info.backend);
    if (first.empty()) first = read_text(folder / "a");
    EXPECT_EQ(read_text(folder / "a"), first) << info.backend->name;
  }
}

TEST(ModelFile, DemoModelFitsItsSize) {
  const std::filesystem::path path =
      std::filesystem::path(BYTEGATE_SOURCE_DIR) / "tests/data/cases/demo_model.safetensors";
  const Sequential model = load_model(
      path, {.architecture =
                 R"([{"name":"lay1","kind":"lstm","input_size":64,"hidden_size":64},{"name":"relu1","kind":"relu"},
               {"name":"lay2","kind":"lstm","input_size":64,"hidden_size":32},{"name":"relu2","kind":"relu"},
               {"name":"flatten","kind":"flatten"},
               {"name":"lay3","kind":"linear","in_features":32,"out_features":10}])",
             .ignore_extra = true,
             .name = "DemoModel"});
  const TemporaryFolder folder;
  save_model(quantize_dynamic(model), folder / "int8");
  save_model(model, folder / "float");
  EXPECT_LE(std::filesystem::file_size(folder / "int8"), 54'000u);
  EXPECT_LE(std::filesystem::file_size(folder / "float"), 190'000u);
  EXPECT_EQ(load_model(folder / "int8").name(), "DemoModel");
  expect_round_trip(quantize_dynamic(model), 1);
}

TEST(ModelFile, NamesThatJsonCannotHold) {
  Sequential model("m");
  model.add("bad\xFF", ReLU());
  const TemporaryFolder folder;
  expect_error(ErrorCode::invalid_argument, {"UTF-8"}, [&] { save_model(model, folder / "a"); });
  EXPECT_TRUE(folder.names().empty());
}

TEST(ModelFile, UnwritablePlace) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::io_error, {"cannot write", "nowhere"},
               [&] { save_model(language_model(), folder / "nowhere/a"); });
}

}  // namespace
}  // namespace bytegate::testing
