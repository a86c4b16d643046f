// Files that hold tensors but not the model they claim to: each gets an error that names what is wrong.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

using Dims = std::vector<std::int64_t>;

struct Stored {
  std::string dtype;
  Dims shape;
  std::vector<std::byte> data;
};

/// A file whose pieces can be changed before it is put together.
struct Pieces {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Stored> tensors;

  static Pieces of(const SafetensorsFile& file) {
    Pieces pieces{file.metadata(), {}};
    for (const auto& [name, t] : file.tensors()) pieces.tensors[name] = {t.dtype, t.shape, tensor_bytes(file, name)};
    return pieces;
  }

  void set_floats(const std::string& name, const Dims& shape, const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    tensors[name] = {"F32", shape, {bytes.begin(), bytes.end()}};
  }

  SafetensorsFile file() const {
    SafetensorsWriter writer;
    for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
    for (const auto& [name, t] : tensors) writer.add(name, t.dtype, t.shape, t.data);
    return SafetensorsFile::parse(writer.bytes(), "model.safetensors");
  }
};

Pieces saved(const Sequential& model) {
  const TemporaryFolder folder;
  save_model(model, folder / "a");
  return Pieces::of(SafetensorsFile::load(folder / "a"));
}

Sequential small_model() {
  Sequential model("Small");
  model.add("lstm", random_lstm({.input_size = 3, .hidden_size = 4, .num_layers = 2}));
  model.add("fc", random_linear(4, 2, true));
  return model;
}

const Pieces& quantized_pieces() {
  static const Pieces pieces = saved(quantize_dynamic(small_model()));
  return pieces;
}

const Pieces& float_pieces() {
  static const Pieces pieces = saved(small_model());
  return pieces;
}

void replace(std::string& text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  ASSERT_NE(at, std::string::npos) << what;
  text.replace(at, what.size(), with);
}

void expect_bad(Pieces pieces, const std::vector<std::string>& parts, const std::function<void(Pieces&)>& change,
                LoadOptions options = {}) {
  EXPECT_NO_THROW(load_model(pieces.file()));
  change(pieces);
  std::vector<std::string> all = parts;
  all.push_back("model.safetensors: ");
  expect_error(ErrorCode::bad_file, all, [&] { load_model(pieces.file(), options); });
}

TEST(ModelLoad, Metadata) {
  const Pieces& good = quantized_pieces();
  expect_bad(good, {"format version is \"2\"", "reads version \"1\""},
             [](Pieces& p) { p.metadata["format_version"] = "2"; });
  expect_bad(good, {"format version is \"\""}, [](Pieces& p) { p.metadata.erase("format_version"); });
  expect_bad(good, {"`scheme`", "nonsense"}, [](Pieces& p) { p.metadata["scheme"] = "nonsense"; });
  expect_bad(good, {"\"lstm\" is quantized, but the metadata has no `scheme`"},
             [](Pieces& p) { p.metadata.erase("scheme"); });
  expect_bad(good, {"no `architecture`"}, [](Pieces& p) { p.metadata.erase("architecture"); });
  // Not ours, so the scheme is nobody's.
  expect_bad(good, {"has no `scheme`"}, [](Pieces& p) { p.metadata.erase("format"); });
}

TEST(ModelLoad, Tensors) {
  const Pieces& good = quantized_pieces();
  expect_bad(good, {"no tensor \"fc.weight\""}, [](Pieces& p) { p.tensors.erase("fc.weight"); });
  expect_bad(good, {"no tensor \"fc.weight_scale\""}, [](Pieces& p) { p.tensors.erase("fc.weight_scale"); });
  expect_bad(good, {"no tensor \"fc.bias\""}, [](Pieces& p) { p.tensors.erase("fc.bias"); });
  expect_bad(good, {"no tensor \"lstm.bias_hh_l1\""}, [](Pieces& p) { p.tensors.erase("lstm.bias_hh_l1"); });
  expect_bad(good, {"no layer of the model uses the tensors \"extra.weight\", \"fc.weight2\""}, [](Pieces& p) {
    p.tensors["extra.weight"] = p.tensors["fc.weight"];
    p.tensors["fc.weight2"] = p.tensors["fc.weight"];
  });
  expect_bad(good, {"\"fc.weight\" has shape [4, 2]; the architecture asks for [2, 4]"}, [](Pieces& p) {
    p.tensors["fc.weight"].shape = {4, 2};
  });
  expect_bad(good, {"\"fc.weight\" has shape [8]"}, [](Pieces& p) { p.tensors["fc.weight"].shape = {8}; });
  expect_bad(good, {"\"fc.weight_scale\" has shape [2, 1]; the architecture asks for [2]"}, [](Pieces& p) {
    p.tensors["fc.weight_scale"].shape = {2, 1};
  });
  expect_bad(good, {"\"fc.weight_scale\" has shape [3]"}, [](Pieces& p) {
    p.set_floats("fc.weight_scale", {3}, {1, 1, 1});
  });
  expect_bad(good, {"\"fc.weight\" has dtype U8; expected I8"}, [](Pieces& p) { p.tensors["fc.weight"].dtype = "U8"; });
  expect_bad(good, {"\"fc.weight_scale\" has dtype I32; expected F32"},
             [](Pieces& p) { p.tensors["fc.weight_scale"].dtype = "I32"; });
  expect_bad(good, {"\"fc.bias\" has dtype I32; accepted are F32, F16, BF16 and F64"},
             [](Pieces& p) { p.tensors["fc.bias"].dtype = "I32"; });
  expect_bad(float_pieces(), {"\"lstm.weight_ih_l0\" has dtype U32"},
             [](Pieces& p) { p.tensors["lstm.weight_ih_l0"].dtype = "U32"; });
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const float scale : {-1.0f, infinity, nan}) {
    expect_bad(good, {"\"fc.weight_scale\" has a scale that is negative, infinite or not a number"}, [&](Pieces& p) {
      p.set_floats("fc.weight_scale", {2}, {1, scale});
    });
  }
  for (const float bias : {infinity, nan}) {
    expect_bad(good, {"layer \"fc\"", "bias"}, [&](Pieces& p) { p.set_floats("fc.bias", {2}, {1, bias}); });
    expect_bad(good, {"layer \"lstm\"", "bias_ih_l1"},
               [&](Pieces& p) { p.set_floats("lstm.bias_ih_l1", {16}, std::vector<float>(16, bias)); });
  }
}

TEST(ModelLoad, LegalWeights) {
  Pieces pieces = quantized_pieces();
  for (std::byte& byte : pieces.tensors["fc.weight"].data) byte = std::byte{0x80};
  pieces.set_floats("fc.weight_scale", {2}, {0, 1e-40f});
  const Sequential model = load_model(pieces.file());
  EXPECT_EQ(as<Linear>(model.layers()[1].layer).weight().int8s().data, std::vector<std::int8_t>(8, -128));
}

TEST(ModelLoad, Architecture) {
  const auto bad = [](const std::string& part, const std::function<void(std::string&)>& change) {
    expect_bad(quantized_pieces(), {"architecture", part}, [&](Pieces& p) { change(p.metadata["architecture"]); });
  };
  const auto swapped = [&](const std::string& part, const std::string& what, const std::string& with) {
    bad(part, [&](std::string& text) { replace(text, what, with); });
  };
  bad("not valid JSON: ", [](std::string& text) { text = "[{"; });
  bad("not valid JSON: ", [](std::string& text) { text += ","; });
  bad("a zero byte", [](std::string& text) { text += std::string("\0[", 2); });
  bad("is a JSON object; it must be a list", [](std::string& text) { text = "{}"; });
  bad("is a JSON null", [](std::string& text) { text = "null"; });
  bad("layer 0 is a JSON number; it must be an object", [](std::string& text) { text = "[1]"; });
  bad("layer 0 has no name", [](std::string& text) { text = "[{}]"; });
  bad("layer 0 \"x\" has no kind", [](std::string& text) { text = R"([{"name":"x"}])"; });
  bad("nested more than 16 deep", [](std::string& text) { text = std::string(100'000, '['); });
  bad("at most 1048576", [](std::string& text) { text += std::string(2'000'000, ' '); });
  swapped("the key \"name\" appears twice", R"("name":"fc")", R"("name":"fc","name":"fc")");
  swapped("\"fc\" has the unknown kind \"conv\"; accepted are embedding, lstm, ", R"("kind":"linear")",
          R"("kind":"conv")");
  swapped("has no in_features", R"("in_features":4,)", "");
  swapped("has no out_features", R"("out_features":2,)", "");
  swapped("has no input_size", R"("input_size":3,)", "");
  swapped(
      "has the unknown key \"padding\"; accepted are bias, dtype, in_features, kind, name, out_features, relu, scheme",
      R"("in_features":4)", R"("in_features":4,"padding":1)");
  swapped("in_features -4; it must be an integer", R"("in_features":4)", R"("in_features":-4)");
  swapped("in_features 4.0; it must be an integer", R"("in_features":4)", R"("in_features":4.0)");
  swapped("in_features \"4\"; it must be an integer", R"("in_features":4)", R"("in_features":"4")");
  swapped("in_features 18446744073709551615; at most", R"("in_features":4)", R"("in_features":18446744073709551615)");
  swapped("hidden_size 4611686018427387904; at most", R"("hidden_size":4)", R"("hidden_size":4611686018427387904)");
  swapped("hidden_size", R"("hidden_size":4)", R"("hidden_size":0)");
  swapped("proj_size", R"("hidden_size":4)", R"("hidden_size":4,"proj_size":4)");
  swapped("bias 1; it must be true or false", R"("kind":"linear")", R"("kind":"linear","bias":1)");
  swapped("dropout \"x\"; it must be a number", R"("kind":"lstm")", R"("kind":"lstm","dropout":"x")");
  swapped("unknown dtype \"qint4\"; accepted is qint8", "qint8", "qint4");
  swapped("unknown scheme", R"("dtype":"qint8")", R"("dtype":"qint8","scheme":"x")");
}

TEST(ModelLoad, ArchitectureThatDoesNotFitTheTensors) {
  const auto swapped = [](const std::vector<std::string>& parts, const std::string& what, const std::string& with) {
    expect_bad(quantized_pieces(), parts, [&](Pieces& p) { replace(p.metadata["architecture"], what, with); });
  };
  swapped({"no tensor \"cf.bias\""}, R"("name":"fc")", R"("name":"cf")");
  swapped({"num_layers is 1000000000", "1 to 65536"}, R"("num_layers":2)", R"("num_layers":1000000000)");
  swapped({"\"lstm\" has num_layers 1, but its tensors are those of 2 layers"}, R"("num_layers":2)",
          R"("num_layers":1)");
  swapped({"no tensor \"lstm.weight_ih_l0_reverse\""}, R"("num_layers":2)", R"("num_layers":2,"bidirectional":true)");
  swapped({"\"fc.bias\" has shape [2]; the architecture asks for [1000000000]"}, R"("out_features":2)",
          R"("out_features":1000000000)");
  swapped({"hidden_size is 1000000000", "1 to 65536"}, R"("hidden_size":4)", R"("hidden_size":1000000000)");
  swapped({"\"fc\" has bias false, but there is a tensor \"fc.bias\""}, R"("kind":"linear")",
          R"("kind":"linear","bias":false)");
  swapped({"\"fc.weight\" has dtype I8; accepted are F32"}, R"("out_features":2,"dtype":"qint8")",
          R"("out_features":2)");
  swapped({"'lstm'", "name of a layer before"}, R"({"name":"fc")", R"({"name":"lstm","kind":"relu"},{"name":"fc")");
  swapped({"needs a name"}, R"({"name":"fc")", R"({"name":"","kind":"relu"},{"name":"fc")");
}

TEST(ModelLoad, MemoryIsNotTakenForSizesWithoutData) {
  Pieces pieces;
  pieces.tensors["fc.weight"] = {"F32", {1'000'000'000, 0}, {}};
  const LoadOptions options{
      .backend = nullptr,
      .architecture = R"([{"name":"fc","kind":"linear","in_features":0,"out_features":1000000000,"bias":false}])"};
  expect_error(ErrorCode::bad_file, {"1000000000 rows of no columns"}, [&] { load_model(pieces.file(), options); });
}

TEST(ModelLoad, TooManyColumnsIsTheFilesFault) {
  Pieces pieces;
  pieces.set_floats("fc.weight", {1, 65'537}, std::vector<float>(65'537));
  const LoadOptions options{
      .backend = nullptr,
      .architecture = R"([{"name":"fc","kind":"linear","in_features":65537,"out_features":1,"bias":false}])"};
  expect_error(ErrorCode::bad_file, {"layer \"fc\"", "65537"}, [&] { load_model(pieces.file(), options); });
}

TEST(ModelLoad, Options) {
  Pieces pieces = float_pieces();
  EXPECT_EQ(load_model(pieces.file()).name(), "Small");
  LoadOptions options;
  options.name = "Other";
  EXPECT_EQ(load_model(pieces.file(), options).name(), "Other");
  // The option has precedence over the file's own architecture.
  replace(options.architecture = pieces.metadata["architecture"], R"({"name":"fc")",
          R"({"name":"act","kind":"relu"},{"name":"fc")");
  EXPECT_EQ(load_model(pieces.file(), options).layers().size(), 3u);
  pieces.tensors["step"] = {"I64", {}, std::vector<std::byte>(8)};
  expect_error(ErrorCode::bad_file, {"uses the tensors \"step\"", "ignore_extra"},
               [&] { load_model(pieces.file(), options); });
  options.ignore_extra = true;
  EXPECT_EQ(run_model(load_model(pieces.file(), options)).size(), 4u * 2 * 2);
  // A state dict of PyTorch's has an architecture but no format.
  pieces.metadata = {{"architecture", options.architecture}, {"format", "pt"}};
  EXPECT_EQ(load_model(pieces.file(), {.backend = nullptr, .architecture = "", .ignore_extra = true}).layers().size(),
            3u);
}

TEST(ModelLoad, LoneLayerWithoutPrefix) {
  Pieces pieces;
  const Tensor weight = random_tensor({2, 3});
  pieces.set_floats("weight", {2, 3}, weight.data);
  const Sequential model =
      load_model(pieces.file(), {.backend = nullptr,
                                 .architecture =
                                     R"([{"name":"head","kind":"linear","in_features":3,"out_features":2,"bias":false},
               {"name":"r","kind":"relu"}])"});
  EXPECT_EQ(as<Linear>(model.layers()[0].layer).weight().floats().data, weight.data);
}

TEST(ModelLoad, OtherFloatingPointTypes) {
  const std::vector<float> values = {
      1.5f, -0.0f, 65504.0f, 5.9604645e-08f, -std::numeric_limits<float>::infinity(), 0.099975586f};
  const std::vector<std::uint16_t> halves = {0x3e00, 0x8000, 0x7bff, 0x0001, 0xfc00, 0x2e66};
  const std::vector<std::uint16_t> bfloats = {0x3fc0, 0x8000, 0x477f, 0x3380, 0xff80, 0x3dcd};
  const std::vector<float> bfloat_values = {
      1.5f, -0.0f, 65280.0f, 5.9604645e-08f, -std::numeric_limits<float>::infinity(), 0.10009765625f};
  const std::vector<double> doubles(values.begin(), values.end());
  const auto loaded = [](const std::string& dtype, std::span<const std::byte> bytes) {
    Pieces pieces;
    pieces.tensors["fc.weight"] = {dtype, {2, 3}, {bytes.begin(), bytes.end()}};
    return as<Linear>(load_model(pieces.file()).layers()[0].layer).weight().floats().data;
  };
  const auto expect_same_bits = [](const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(std::bit_cast<std::uint32_t>(a[i]), std::bit_cast<std::uint32_t>(b[i])) << a[i] << ' ' << b[i];
  };
  expect_same_bits(loaded("F16", std::as_bytes(std::span(halves))), values);
  expect_same_bits(loaded("BF16", std::as_bytes(std::span(bfloats))), bfloat_values);
  expect_same_bits(loaded("F64", std::as_bytes(std::span(doubles))), values);
  const std::vector<double> huge(6, 1e300);
  expect_error(ErrorCode::bad_file, {"\"fc.weight\" has a value too large for float32"},
               [&] { loaded("F64", std::as_bytes(std::span(huge))); });
}

// A loaded model is the file's or an Error, whatever one bit of the header says.
TEST(ModelLoad, EveryFlippedBitOfTheHeader) {
  SafetensorsWriter writer;
  const Pieces& pieces = quantized_pieces();
  for (const auto& [key, value] : pieces.metadata) writer.set_metadata(key, value);
  for (const auto& [name, t] : pieces.tensors) writer.add(name, t.dtype, t.shape, t.data);
  const std::vector<std::byte> bytes = writer.bytes();
  const std::size_t header_end =
      8 + std::to_integer<std::size_t>(bytes[0]) + 256 * std::to_integer<std::size_t>(bytes[1]);
  std::size_t loaded = 0;
  for (std::size_t bit = 0; bit < 8 * header_end; ++bit) {
    std::vector<std::byte> damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const auto error = error_of([&] { load_model(SafetensorsFile::parse(std::move(damaged), "model.safetensors")); });
    loaded += error ? 0 : 1;
    if (error) {
      EXPECT_EQ(static_cast<int>(error->code()), static_cast<int>(ErrorCode::bad_file)) << error->what();
    }
  }
  EXPECT_LT(loaded, 8 * header_end / 10);
}

}  // namespace
}  // namespace bytegate::testing
