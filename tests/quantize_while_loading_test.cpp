// LoadOptions::quantize: a model that is quantized while it is read is, bit for bit, the float model quantized after it
// was read.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <string>
#include <vector>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

Sequential float_model() {
  Sequential model("Tagger");
  model.add("embed", Embedding(random_tensor({13, 6}).view()));
  model.add("lstm", random_lstm({.input_size = 6, .hidden_size = 9, .num_layers = 2, .bidirectional = true}));
  model.add("act", ReLU());
  model.add("narrow", random_lstm({.input_size = 18, .hidden_size = 8, .bias = false, .proj_size = 3}));
  model.add("fc.first", random_linear(3, 20, true, true));
  model.add("fc.last", random_linear(20, 5, false));
  return model;
}

/// A normal float16 near the value: its upper ten bits of significand, exponents -14 to 15.
std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto exponent = static_cast<int>(bits >> 23 & 255) - 127 + 15;
  const std::uint32_t sign = bits >> 16 & 0x8000, significand = bits >> 13 & 0x3ff;
  return static_cast<std::uint16_t>(exponent < 1 ? sign
                                                 : sign | static_cast<std::uint32_t>(exponent) << 10 | significand);
}

/// The same file with all its floats as F16.
void write_as_half(const std::filesystem::path& from, const std::filesystem::path& to) {
  const SafetensorsFile file = SafetensorsFile::load(from);
  SafetensorsWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.set_metadata(key, value);
  for (const auto& [name, tensor] : file.tensors()) {
    std::vector<std::uint16_t> halves;
    for (const float value : file.floats(name)) halves.push_back(to_half(value));
    writer.add(name, "F16", tensor.shape, std::as_bytes(std::span(halves)));
  }
  writer.save(to);
}

/// Every scheme with every selection of layers.
std::vector<QuantizeOptions> all_options() {
  const std::vector<std::vector<std::string>> kinds = {{}, {"linear"}, {"embedding", "lstm"}},
                                              patterns = {{}, {"fc.*"}, {"lstm", "fc.?irst"}};
  std::vector<QuantizeOptions> all;
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(false, 7),
                               Scheme::torch(true, 8), Scheme::torch(true, 7)}) {
    for (const auto& kind : kinds) {
      for (const auto& include : patterns) {
        for (const auto& exclude : patterns) {
          all.push_back({.scheme = scheme, .kinds = kind, .include = include, .exclude = exclude});
        }
      }
    }
  }
  return all;
}

std::string text_of(const QuantizeOptions& options) {
  std::string text = to_string(options.scheme);
  for (const auto* list : {&options.kinds, &options.include, &options.exclude}) {
    text += " |";
    for (const std::string& entry : *list) text += ' ' + entry;
  }
  return text;
}

std::string saved(const Sequential& model) {
  const TemporaryFolder folder;
  save_model(model, folder / "a");
  return read_text(folder / "a");
}

TEST(QuantizeWhileLoading, IsTheQuantizedModel) {
  const TemporaryFolder folder;
  save_model(float_model(), folder / "F32");
  write_as_half(folder / "F32", folder / "F16");
  EXPECT_NE(saved(load_model(folder / "F16")), read_text(folder / "F32"));
  for (const char* file : {"F32", "F16"}) {
    const Sequential floats = load_model(folder / file);
    std::size_t different = 0;
    for (const QuantizeOptions& options : all_options()) {
      SCOPED_TRACE(file + (' ' + text_of(options)));
      const Sequential expected = quantize_dynamic(floats, options);
      LoadReport report;
      const Sequential found = load_model(folder / file, {.quantize = &options, .report = &report});
      ASSERT_EQ(to_string(found), to_string(expected));
      ASSERT_EQ(saved(found), saved(expected));
      EXPECT_EQ(run_model(found), run_model(expected));
      EXPECT_FALSE(report.guessed);
      different += saved(found) != saved(floats);
    }
    EXPECT_GT(different, all_options().size() / 2) << "options that quantize something";
  }
}

// On a chosen backend: the one of LoadOptions, unless QuantizeOptions names another for the quantized layers.
TEST(QuantizeWhileLoading, OnEveryBackend) {
  const TemporaryFolder folder;
  save_model(float_model(), folder / "a");
  const std::string expected = saved(quantize_dynamic(load_model(folder / "a")));
  for (const BackendInfo& info : list_backends()) {
    if (!info.supported) continue;
    for (const bool by_quantize_options : {false, true}) {
      QuantizeOptions options;
      options.backend = by_quantize_options ? info.backend : nullptr;
      const Sequential found =
          load_model(folder / "a", {.backend = by_quantize_options ? nullptr : info.backend, .quantize = &options});
      EXPECT_EQ(&as<LSTM>(found.layers()[1].layer).backend(), info.backend);
      EXPECT_EQ(&as<Linear>(found.layers()[4].layer).backend(), info.backend);
      EXPECT_EQ(saved(found), expected) << info.backend->name;
    }
  }
}

// Layers that are int8 in the file keep their scheme and their bits, whatever the options ask for.
TEST(QuantizeWhileLoading, Int8LayersStayAsTheyAre) {
  const TemporaryFolder folder;
  const Sequential floats = float_model();
  save_model(quantize_dynamic(floats, quantize_options(Scheme::per_row(), {"embedding", "lstm", "linear"})),
             folder / "all");
  save_model(quantize_dynamic(floats, quantize_options(Scheme::torch(true, 7), {"lstm"})), folder / "some");
  const QuantizeOptions torch = quantize_options(Scheme::torch(), {"embedding", "lstm", "linear"});
  EXPECT_EQ(saved(load_model(folder / "all", {.quantize = &torch})), read_text(folder / "all"));

  const Sequential some = load_model(folder / "some", {.quantize = &torch});
  EXPECT_EQ(as<LSTM>(some.layers()[1].layer).scheme(), Scheme::torch(true, 7));
  EXPECT_EQ(as<Linear>(some.layers()[5].layer).scheme(), Scheme::torch());
  EXPECT_EQ(saved(some), saved(quantize_dynamic(load_model(folder / "some"), torch)));
}

TEST(QuantizeWhileLoading, WhatMatchesNothingIsAnError) {
  const TemporaryFolder folder;
  save_model(float_model(), folder / "a");
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  const auto refuse = [&](const QuantizeOptions& options, const std::vector<std::string>& parts) {
    const auto error = error_of([&] { quantize_dynamic(load_model(file), options); });
    ASSERT_TRUE(error.has_value()) << text_of(options);
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { load_model(file, {.quantize = &options}); },
             [&] { load_state_dict(file, {.quantize = &options}); },
         }) {
      expect_error(ErrorCode::invalid_argument, parts, call);
      const auto found = error_of(call);
      EXPECT_EQ(found ? found->what() : std::string(), error->what());
    }
  };
  refuse({.include = {"fc"}}, {"include", "'fc'", "embed", "fc.last"});
  refuse({.include = {"lstm", "fc?last?"}}, {"include", "'fc?last?'"});
  refuse({.exclude = {"decoder*"}}, {"exclude", "'decoder*'", "narrow"});
  refuse({.kinds = {"linear", "LSTM"}}, {"'LSTM'", "lstm", "embedding"});
}

// Layers that are no model, too.
TEST(QuantizeWhileLoading, StateDict) {
  const TemporaryFolder folder;
  save_model(float_model(), folder / "a");
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  for (const QuantizeOptions& options : all_options()) {
    SCOPED_TRACE(text_of(options));
    save_state_dict(load_state_dict(file, {.quantize = &options}), file, folder / "found");
    save_state_dict(quantize_dynamic(load_state_dict(file), options), file, folder / "expected");
    ASSERT_EQ(read_text(folder / "found"), read_text(folder / "expected"));
  }
}

}  // namespace
}  // namespace bytegate::testing
