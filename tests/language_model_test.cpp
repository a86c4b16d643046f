// The trained models: the same bits on every backend, and the language model's bits per character beside PyTorch's.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/case_file.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"

namespace bytegate::testing {
namespace {

const std::filesystem::path kFolder = BYTEGATE_SOURCE_DIR "/examples/data/charlm";

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

Sequential language_model(const Backend& backend) {
  const SafetensorsFile file = SafetensorsFile::load(kFolder / "model.safetensors");
  const auto tensor = [&](const std::string& name) {
    return Tensor(Shape(file.tensor(name).shape), file.floats(name));
  };
  Sequential model("CharLM");
  LSTMConfig config;
  std::vector<RecurrentWeights> cells;
  for (const auto& layer : nlohmann::json::parse(file.metadata().at("architecture"))) {
    const std::string kind = layer.at("kind"), name = layer.at("name"), at = name + ".";
    if (kind == "embedding") model.add(name, Embedding(tensor(at + "weight").view()));
    if (kind == "linear")
      model.add(name, Linear(tensor(at + "weight").view(), tensor(at + "bias").view(), false, &backend));
    if (kind != "lstm") continue;
    config.input_size = layer.at("input_size");
    config.hidden_size = layer.at("hidden_size");
    config.num_layers = layer.value("num_layers", 1);
    for (std::int64_t i = 0; i < config.num_layers; ++i) {
      const std::string suffix = lstm_suffix(i, false);
      cells.push_back({tensor(at + "weight_ih" + suffix), tensor(at + "weight_hh" + suffix),
                       tensor(at + "bias_ih" + suffix), tensor(at + "bias_hh" + suffix), Tensor()});
    }
    model.add(name, LSTM(config, cells, &backend));
  }
  return model;
}

/// The held-out text as indices.
std::vector<std::int64_t> text_indices(std::size_t count) {
  std::map<std::string, std::int64_t> index;
  for (const auto& character : read_json(kFolder / "vocab.json")) {
    const auto next = static_cast<std::int64_t>(index.size());
    index[character.get<std::string>()] = next;
  }
  std::ifstream in(kFolder / "eval.txt", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::int64_t> indices;
  for (std::size_t i = 0; i < count; ++i) indices.push_back(index.at(text.substr(i, 1)));
  return indices;
}

/// Logits of the text, in calls of `steps` with the state carried.
Tensor logits(const Sequential& model, const std::vector<std::int64_t>& text, std::size_t steps) {
  const std::int64_t vocabulary = model.output_shape(Shape{1, 1}).back();
  Tensor all(Shape{static_cast<std::int64_t>(text.size()), vocabulary});
  Workspace workspace;
  ModelState state;
  for (std::size_t i = 0; i < text.size(); i += steps) {
    const auto count = static_cast<std::int64_t>(std::min(steps, text.size() - i));
    model.forward({text.data() + i, Shape{count, 1}},
                  {all.data.data() + i * static_cast<std::size_t>(vocabulary), Shape{count, 1, vocabulary}}, workspace,
                  &state);
  }
  return all;
}

double bits_per_character(const Tensor& all, const std::vector<std::int64_t>& text) {
  const auto width = static_cast<std::size_t>(all.shape.back());
  double sum = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    const std::span row = std::span(all.data).subspan(i * width, width);
    const double most = *std::ranges::max_element(row);
    double total = 0;
    for (float v : row) total += std::exp(v - most);
    sum += most + std::log(total) - row[static_cast<std::size_t>(text[i + 1])];
  }
  return sum / static_cast<double>(text.size() - 1) / std::log(2.0);
}

Sequential quantized(const Sequential& model, const Scheme& scheme, const std::vector<std::string>& kinds = {}) {
  QuantizeOptions options;
  options.scheme = scheme;
  options.kinds = kinds;
  return quantize_dynamic(model, options);
}

class LanguageModelTest : public BackendTest {};

TEST_P(LanguageModelTest, SameBitsAsScalarAndStreamed) {
  const std::vector<std::int64_t> text = text_indices(size() == 0 ? 60 : 300);
  const Sequential model = language_model(backend()), scalar = language_model(scalar_backend());
  const std::vector<std::string> all_kinds = {"linear", "lstm", "embedding"};
  EXPECT_EQ(first_difference(logits(model, text, 100), logits(scalar, text, 100)), "") << "float";
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(true, 7)}) {
    const Sequential ours = quantized(model, scheme, all_kinds), theirs = quantized(scalar, scheme, all_kinds);
    const Tensor whole = logits(ours, text, 100);
    EXPECT_EQ(first_difference(whole, logits(theirs, text, 100)), "") << to_string(scheme);
    if (scheme.is_torch()) continue;
    for (std::size_t steps : {1u, 7u, 1000u})
      EXPECT_EQ(first_difference(whole, logits(ours, text, steps)), "") << steps << " steps at a time";
  }
}

// Float to 1e-5. A last bit may move an activation by a step of its quantization, which a recurrence carries on for a
// while: then the distance must be small beside PyTorch's own distance from float.
TEST_P(LanguageModelTest, LogitsAsPyTorch) {
  const SafetensorsFile file = SafetensorsFile::load(kFolder / "reference.safetensors");
  const auto reference = [&](const std::string& name) {
    return Tensor(Shape(file.tensor(name).shape), file.floats(name));
  };
  const Tensor exact = reference("logits_float");
  const std::vector<std::int64_t> text = text_indices(static_cast<std::size_t>(exact.shape[0]));
  const Sequential model = language_model(backend());
  EXPECT_LE(difference(logits(model, text, 100), exact), 1e-5);
  for (int bits : {8, 7}) {
    const Tensor ours = logits(quantized(model, Scheme::torch(false, bits)), text, 100);
    const Tensor theirs = reference("logits_qint8_" + std::to_string(bits) + "bit");
    EXPECT_TRUE(difference(ours, theirs) <= 1e-5 || noise_part(ours, theirs, exact) <= 0.05) << bits << " bits";
  }
}

// per_row: at most 0.03 % above float. torch: PyTorch's own figure to 4 digits.
TEST_P(LanguageModelTest, BitsPerCharacter) {
  const bool slow = backend().priority <= 0;  // scalar and stand-ins
  if (size() == 0 || slow) GTEST_SKIP() << "the figures follow from the same bits";
  const nlohmann::json reference = read_json(kFolder / "reference.json");
  const std::vector<std::int64_t> text = text_indices(reference.at("characters"));
  const Sequential model = language_model(backend());
  const auto figure = [&](const Sequential& m) { return bits_per_character(logits(m, text, 100), text); };
  const double exact = figure(model), accurate = figure(quantized(model, Scheme::per_row()));
  EXPECT_NEAR(exact, reference.at("bits_per_char_float").get<double>(), 1e-5);
  EXPECT_LE(accurate, exact * 1.0003);
  EXPECT_NEAR(figure(quantized(model, Scheme::torch(false, 8))),
              reference.at("bits_per_char_pytorch_qint8_8bit").get<double>(), 5e-4);
  EXPECT_NEAR(figure(quantized(model, Scheme::torch(false, 7))),
              reference.at("bits_per_char_pytorch_qint8_7bit").get<double>(), 5e-4);
}

BYTEGATE_ON_EVERY_BACKEND(LanguageModelTest);

class DemoModelTest : public BackendTest {};

TEST_P(DemoModelTest, SameBitsAsScalar) {
  const Case demo = Case::load(BYTEGATE_SOURCE_DIR "/tests/data/cases/demo_model.safetensors");
  const Sequential model = demo.model(backend()), scalar = demo.model(scalar_backend());
  EXPECT_EQ(first_difference(demo.run(model).output, demo.run(scalar).output), "") << "float";
  EXPECT_LE(difference(demo.run(model).output, demo.reference("float").output), 1e-5);
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(false, 7)}) {
    EXPECT_EQ(first_difference(demo.run(quantized(model, scheme)).output, demo.run(quantized(scalar, scheme)).output),
              "")
        << to_string(scheme);
  }
}

BYTEGATE_ON_EVERY_BACKEND(DemoModelTest);

}  // namespace
}  // namespace bytegate::testing
