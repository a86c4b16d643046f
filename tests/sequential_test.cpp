// Sequential models, Embedding, ReLU, Flatten, shapes and schemes, quantize_dynamic: their outputs, printed forms and
// errors.
#include <bytegate/model_file.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "tests/case_file.h"
#include "tests/io_testing.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

constexpr auto kShape = ErrorCode::shape_mismatch;
constexpr auto kArgument = ErrorCode::invalid_argument;

LSTMConfig lstm_config(std::int64_t input, std::int64_t hidden) {
  LSTMConfig config;
  config.input_size = input;
  config.hidden_size = hidden;
  return config;
}

/// Linear(6, 8) -> ReLU -> LSTM(8, 5) -> LSTM(5, 4) -> Flatten -> Linear(8, 3), for [T, 2, 6].
Sequential model_of(const Backend& backend) {
  Random random(1);
  const auto linear = [&](std::int64_t in, std::int64_t out) {
    return Linear(random_tensor({out, in}, random).view(), random_tensor({out}, random).view(), false, &backend);
  };
  const auto lstm = [&](const LSTMConfig& config) {
    return LSTM(config, to_cells(random_cells(config, random)), &backend);
  };
  Sequential model("Net");
  model.add("in", linear(6, 8));
  model.add("relu", ReLU());
  model.add("lstm1", lstm(lstm_config(8, 5)));
  model.add("lstm2", lstm(lstm_config(5, 4)));
  model.add("flatten", Flatten());
  model.add("out", linear(8, 3));
  return model;
}

Sequential with_embedding(const Backend& backend) {
  Random random(2);
  Sequential model;
  model.add("encoder", Embedding(random_tensor({10, 6}, random).view()));
  model.add("decoder", Linear(random_tensor({4, 6}, random).view(), {}, false, &backend));
  return model;
}

class SequentialTest : public BackendTest {};

// The layers one after the other, by hand.
TEST_P(SequentialTest, IsItsLayersInOrder) {
  const Sequential model = model_of(backend());
  Random random(3);
  const Tensor x = random_tensor({3, 2, 6}, random);
  Tensor h = as<Linear>(model.layers()[0].layer).forward(x);
  for (float& v : h.data) v = v > 0 ? v : 0;
  h = as<LSTM>(model.layers()[2].layer).forward(h).output;
  h = as<LSTM>(model.layers()[3].layer).forward(h).output;
  h.shape = {3, 8};
  h = as<Linear>(model.layers()[5].layer).forward(h);
  EXPECT_EQ(model.output_shape(x.shape), (Shape{3, 3}));
  EXPECT_EQ(first_difference(model.forward(x), h), "");
  EXPECT_EQ(first_difference(Sequential().forward(x), x), "");  // no layers: the input
}

// With a state, calls follow each other as one.
TEST_P(SequentialTest, StateIsCarried) {
  Random random(4);
  Sequential model;
  const LSTMConfig config = lstm_config(6, 5);
  model.add("a", LSTM(config, to_cells(random_cells(config, random)), &backend()));
  model.add("b", LSTM(lstm_config(5, 4), to_cells(random_cells(lstm_config(5, 4), random)), &backend()));
  for (const Sequential& m : {model, quantize_dynamic(model)}) {
    const Tensor x = random_tensor({7, 2, 6}, random), whole = m.forward(x);
    Tensor y(Shape{7, 2, 4});
    Workspace workspace;
    ModelState state;
    for (std::int64_t first : {0, 2, 3}) {
      const std::int64_t count = first == 0 ? 2 : first == 2 ? 1 : 4;
      m.forward({x.data.data() + first * 12, Shape{count, 2, 6}}, {y.data.data() + first * 8, Shape{count, 2, 4}},
                workspace, &state);
    }
    EXPECT_EQ(first_difference(y, whole), "");
    ASSERT_EQ(state.layers.size(), 2u);
    EXPECT_EQ(state.layers[1][0].shape, (Shape{1, 2, 4}));
    state.layers.pop_back();
    expect_error(kArgument, {"state of 1", "2"}, [&] { m.forward(x.view(), y.view(), workspace, &state); });
    ModelState other;
    m.forward(x.view(), y.view(), workspace, &other);
    expect_error(kShape, {"h0", "[1, 2, 5]", "[1, 3, 5]"}, [&] {
      Tensor more(Shape{7, 3, 6}), out(Shape{7, 3, 4});
      m.forward(more.view(), out.view(), workspace, &other);
    });
  }
}

TEST_P(SequentialTest, WrongCalls) {
  const Sequential model = model_of(backend());
  Tensor x(Shape{3, 2, 6}), y(Shape{3, 3});
  Workspace workspace;
  const auto call = [&](ConstTensorView in, TensorView out) {
    return [&, in, out] { model.forward(in, out, workspace); };
  };
  expect_error(kShape, {"'in'", "[3, 2, 5]", "[..., 6]"}, call({x.data.data(), Shape{3, 2, 5}}, y.view()));
  expect_error(kShape, {"'lstm1'", "[6, 1, 1, 8]"}, call({x.data.data(), Shape{6, 1, 1, 6}}, y.view()));
  expect_error(kShape, {"'out'", "[3, 4]", "[..., 8]"}, call({x.data.data(), Shape{3, 1, 6}}, y.view()));
  expect_error(kShape, {"output", "[3, 4]", "[3, 3]"}, call(x.view(), {y.data.data(), Shape{3, 4}}));
  expect_error(kArgument, {"input", "null"}, call({nullptr, x.shape}, y.view()));
  expect_error(kArgument, {"output", "null"}, call(x.view(), {nullptr, y.shape}));
  const std::int64_t indices[] = {1, 2, 3};
  expect_error(kArgument, {"Embedding", "floats"}, [&] {
    model.forward(IndexView{indices, Shape{3}}, y.view(), workspace);
  });
  expect_error(kArgument, {"Embedding", "indices"},
               [&] { with_embedding(backend()).forward(x.view(), y.view(), workspace); });
}

TEST_P(SequentialTest, Names) {
  Sequential model;
  model.add("a", ReLU());
  expect_error(kArgument, {"'a'"}, [&] { model.add("a", Flatten()); });
  expect_error(kArgument, {"''", "name"}, [&] { model.add("", Flatten()); });
  expect_error(kArgument, {"'a'", "null"}, [&] { model.add("a", nullptr); });
  expect_error(kArgument, {"'e'", "first"}, [&] { model.add("e", with_embedding(backend()).layers()[0].layer); });
  EXPECT_EQ(model.layers().size(), 1u);
}

TEST_P(SequentialTest, EmbeddingRows) {
  const Sequential model = with_embedding(backend());
  const auto& embedding = as<Embedding>(model.layers()[0].layer);
  const auto int8 = Embedding::from_float(embedding);
  const Tensor weight = embedding.weight().floats();
  const std::int64_t indices[] = {9, 0, 3, 3, 7, 1};
  for (const Shape& shape : {Shape{6}, Shape{2, 3}, Shape{1, 6, 1}}) {
    std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
    dims.push_back(6);
    Tensor y{Shape(dims)}, q{Shape(dims)};
    embedding.forward({indices, shape}, y.view());
    int8.forward({indices, shape}, q.view());
    for (std::size_t i = 0; i < 36; ++i) {
      const std::size_t row = static_cast<std::size_t>(indices[i / 6]);
      EXPECT_EQ(y.data[i], weight.data[row * 6 + i % 6]);
      EXPECT_NEAR(q.data[i], y.data[i], int8.weight().scales()[row] * 0.5001f);
    }
  }
}

TEST_P(SequentialTest, EmbeddingWrongCalls) {
  const Tensor table(Shape{10, 6});
  const Embedding embedding(table.view());
  const auto int8 = Embedding::from_float(embedding);
  Tensor y(Shape{3, 6});
  const auto refuse = [&](ErrorCode code, std::vector<std::string> parts, IndexView x, TensorView out) {
    expect_error(code, parts, [&] { embedding.forward(x, out); });
    expect_error(code, parts, [&] { int8.forward(x, out); });
  };
  const std::int64_t good[] = {0, 9, 5}, low[] = {0, -1, 5}, high[] = {0, 1, 10},
                     far[] = {std::numeric_limits<std::int64_t>::min(), 0, 0};
  refuse(kArgument, {"index -1", "element 1", "0 to 9"}, {low, Shape{3}}, y.view());
  refuse(kArgument, {"index 10", "element 2", "0 to 9"}, {high, Shape{3}}, y.view());
  refuse(kArgument, {"element 0"}, {far, Shape{3}}, y.view());
  refuse(kShape, {"[3, 5]", "[3, 6]"}, {good, Shape{3}}, {y.data.data(), Shape{3, 5}});
  refuse(kShape, {"[2, 6]"}, {good, Shape{3}}, {y.data.data(), Shape{2, 6}});
  refuse(kArgument, {"null"}, {nullptr, Shape{3}}, y.view());
  refuse(kArgument, {"null"}, {good, Shape{3}}, {nullptr, Shape{3, 6}});
  expect_error(kShape, {"weight", "[60]"}, [&] { Embedding({table.data.data(), Shape{60}}); });
  expect_error(kArgument, {"weight", "null"}, [&] { Embedding({nullptr, Shape{10, 6}}); });
}

TEST_P(SequentialTest, ReluAndFlatten) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor x(Shape{2, 3}, {-1.0f, 0.0f, 2.0f, nan, -std::numeric_limits<float>::infinity(), 1e-40f});
  ReLU().forward(x.view(), x.view());  // in place
  EXPECT_EQ(x.data[0], 0.0f);
  EXPECT_EQ(x.data[2], 2.0f);
  EXPECT_TRUE(std::isnan(x.data[3]));
  EXPECT_EQ(x.data[4], 0.0f);
  EXPECT_EQ(x.data[5], 1e-40f);
  Tensor other(Shape{3, 2});
  expect_error(kShape, {"[3, 2]"}, [&] { ReLU().forward(x.view(), other.view()); });
  EXPECT_EQ(Flatten().output_shape({4, 2, 3}), (Shape{4, 6}));
  EXPECT_EQ(Flatten().output_shape({4}), (Shape{4, 1}));
  EXPECT_EQ(Flatten().output_shape({0, 2, 3}), (Shape{0, 6}));
  expect_error(kShape, {"Flatten", "[]"}, [] { Flatten().output_shape({}); });
}

std::string kinds_of(const Sequential& model) {
  std::string kinds;
  for (const auto& [name, layer] : model.layers()) {
    const std::string text = to_string(*layer);
    if (!kinds.empty()) kinds += ' ';
    kinds += text.substr(0, text.find('('));
  }
  return kinds;
}

TEST_P(SequentialTest, QuantizeDynamicChooses) {
  const Sequential model = model_of(backend());
  const auto chosen = [&](const auto& set) {
    QuantizeOptions options;
    set(options);
    return kinds_of(quantize_dynamic(model, options));
  };
  const std::string l = "Linear", ql = "DynamicQuantizedLinear", r = "LSTM", qr = "DynamicQuantizedLSTM",
                    mid = " ReLU ", flat = " Flatten ";
  const auto text = [&](const std::string& a, const std::string& b, const std::string& c, const std::string& d) {
    return a + mid + b + " " + c + flat + d;
  };
  EXPECT_EQ(chosen([](auto&) {}), text(ql, qr, qr, ql));
  EXPECT_EQ(chosen([](auto& o) { o.kinds = {"lstm"}; }), text(l, qr, qr, l));
  EXPECT_EQ(chosen([](auto& o) { o.kinds = {"linear"}; }), text(ql, r, r, ql));
  EXPECT_EQ(chosen([](auto& o) { o.kinds = {"embedding"}; }), text(l, r, r, l));
  expect_error(kArgument, {"'lstms'", "lstm", "linear"}, [&] { chosen([](auto& o) { o.kinds = {"lstms"}; }); });
  EXPECT_EQ(chosen([](auto& o) { o.include = {"lstm*"}; }), text(l, qr, qr, l));
  EXPECT_EQ(chosen([](auto& o) {
              o.include = {"lstm?", "out"};
              o.exclude = {"*1"};
            }),
            text(l, r, qr, ql));
  EXPECT_EQ(chosen([](auto& o) { o.exclude = {"in", "out"}; }), text(l, qr, qr, l));
  EXPECT_EQ(kinds_of(model), text(l, r, r, l));  // the float one is as it was
  for (auto patterns : {&QuantizeOptions::include, &QuantizeOptions::exclude}) {
    expect_error(kArgument, {"'lsmt1'", "in, relu, lstm1, lstm2, flatten, out"}, [&] {
      chosen([&](auto& o) { o.*patterns = {"in", "lsmt1"}; });
    });
  }
}

TEST_P(SequentialTest, QuantizeDynamicKeepsBackendAndSharesTheRest) {
  const Sequential model = model_of(backend());
  QuantizeOptions options;
  EXPECT_EQ(&as<Linear>(quantize_dynamic(model, options).layers()[0].layer).backend(), &backend());
  options.backend = &scalar_backend();
  const Sequential moved = quantize_dynamic(model, options);
  EXPECT_EQ(&as<LSTM>(moved.layers()[2].layer).backend(), &scalar_backend());
  EXPECT_EQ(moved.name(), "Net");
  Random random(5);
  const Tensor x = random_tensor({3, 2, 6}, random);
  EXPECT_EQ(first_difference(moved.forward(x), quantize_dynamic(model).forward(x)), "");
  EXPECT_EQ(first_difference(quantize_dynamic(quantize_dynamic(model)).forward(x), quantize_dynamic(model).forward(x)),
            "");
}

// A lone layer is quantized too; what has no quantized form is null.
TEST_P(SequentialTest, LoneLayers) {
  const Sequential model = model_of(backend());
  const LayerPtr linear = model.layers()[0].layer, lstm = model.layers()[2].layer,
                 embedding = with_embedding(backend()).layers()[0].layer;
  const auto quantize = [](const LayerPtr& layer) { return layer->quantize_dynamic({}, nullptr); };
  EXPECT_TRUE(is_quantized<Linear>(quantize(linear)));
  EXPECT_TRUE(is_quantized<LSTM>(quantize(lstm)));
  EXPECT_TRUE(is_quantized<Embedding>(quantize(embedding)));
  EXPECT_FALSE(is_quantized<Linear>(linear));
  EXPECT_EQ(quantize(std::make_shared<const ReLU>()), nullptr);
  EXPECT_EQ(quantize(quantize(linear)), nullptr);
}

/// y = x + 1, a layer of a user's own.
class AddOne final : public Layer {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  using Layer::forward;
  void forward(ConstTensorView x, TensorView y, Workspace&, LayerState* state) const override {
    float count = state ? (*state)[0].data[0]++ : 0;
    for (std::size_t i = 0; i < x.shape.elements(); ++i) y.data[i] = x.data[i] + 1 + count;
  }
  std::vector<Shape> state_shapes(const Shape&) const override { return {Shape{1}}; }
  void describe(LayerVisitor& visitor) const override { visitor.begin("add_one", "AddOne"); }
};

TEST_P(SequentialTest, AUsersOwnLayer) {
  Sequential model;
  model.add("relu", ReLU());
  model.add("mine", AddOne());
  const Tensor x(Shape{2}, {-1, 3});
  EXPECT_EQ(model.forward(x).data, (std::vector<float>{1, 4}));
  EXPECT_EQ(to_string(model), "Sequential(\n  (relu): ReLU()\n  (mine): AddOne()\n)");
  EXPECT_EQ(quantize_dynamic(model).forward(x).data, (std::vector<float>{1, 4}));
  Workspace workspace;
  ModelState state;
  Tensor y(Shape{2});
  for (float count : {0.0f, 1.0f}) {
    model.forward(x.view(), y.view(), workspace, &state);
    EXPECT_EQ(y.data, (std::vector<float>{1 + count, 4 + count}));
  }
  expect_error(kArgument, {"AddOne()", "floats"}, [&] {
    const std::int64_t index = 0;
    static_cast<const Layer&>(AddOne()).forward(IndexView{&index, Shape{1}}, y.view(), workspace, nullptr);
  });
}

// No file can say how a user's own layer is made again.
TEST_P(SequentialTest, AUsersOwnLayerIsNotSaved) {
  const TemporaryFolder folder;
  Sequential model;
  model.add("fc", Linear(Tensor(Shape{2, 2}).view(), {}, false, &backend()));
  model.add("mine", AddOne());
  write_text(folder / "old", "an earlier file");
  for (const char* name : {"new", "old"}) {
    expect_error(kArgument, {"a layer of a user's own", "AddOne", "cannot be written"},
                 [&] { save_model(model, folder / name); });
  }
  expect_error(kArgument, {"AddOne"}, [&] { architecture_json(model); });
  EXPECT_EQ(folder.names(), std::vector<std::string>{"old"});
  EXPECT_EQ(read_text(folder / "old"), "an earlier file");
}

TEST_P(SequentialTest, QuantizeDynamicNamesTheLayer) {
  Sequential model;
  Tensor weight(Shape{2, 2});
  weight.data[2] = std::numeric_limits<float>::infinity();
  model.add("first", ReLU());
  model.add("broken", Linear(weight.view(), {}, false, &backend()));
  expect_error(kArgument, {"'broken'", "element 2"}, [&] { quantize_dynamic(model); });
}

TEST_P(SequentialTest, PrintsAsPyTorch) {
  const Case demo = Case::load(BYTEGATE_SOURCE_DIR "/tests/data/cases/demo_model.safetensors");
  const Sequential layers = demo.model(backend());
  Sequential model("DemoModel");
  for (const auto& [name, layer] : layers.layers()) model.add(name, layer);
  EXPECT_EQ(
      to_string(model),
      "DemoModel(\n  (lay1): LSTM(64, 64)\n  (relu1): ReLU()\n  (lay2): LSTM(64, 32)\n  (relu2): ReLU()\n"
      "  (flatten): Flatten(start_dim=1, end_dim=-1)\n  (lay3): Linear(in_features=32, out_features=10, bias=True)\n)");
  std::ostringstream out;
  out << quantize_dynamic(model);
  EXPECT_EQ(out.str(),
            "DemoModel(\n  (lay1): DynamicQuantizedLSTM(64, 64)\n  (relu1): ReLU()\n  (lay2): DynamicQuantizedLSTM(64, "
            "32)\n  "
            "(relu2): ReLU()\n"
            "  (flatten): Flatten(start_dim=1, end_dim=-1)\n"
            "  (lay3): DynamicQuantizedLinear(in_features=32, out_features=10, dtype=qint8, "
            "qscheme=per_channel_symmetric)\n)");
}

BYTEGATE_ON_EVERY_BACKEND(SequentialTest);

TEST(SchemeTest, Names) {
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(false, 8), Scheme::torch(false, 7),
                               Scheme::torch(true, 8), Scheme::torch(true, 7)}) {
    EXPECT_EQ(parse_scheme(to_string(scheme)), scheme);
  }
  EXPECT_EQ(parse_scheme("torch"), Scheme::torch(false, 8));
  expect_error(kArgument, {"'torch9'", "per_row", "torch_per_channel_7bit"}, [] { parse_scheme("torch9"); });
  expect_error(kArgument, {"6", "7 and 8"}, [] { Scheme::torch(false, 6); });
}

TEST(ShapeTest, Limits) {
  EXPECT_EQ(Shape().elements(), 1u);
  EXPECT_EQ((Shape{2, 0, 5}).elements(), 0u);
  EXPECT_EQ(to_string(Shape{20, 1, 64}), "[20, 1, 64]");
  expect_error(kArgument, {"-1"}, [] { Shape{2, -1}; });
  expect_error(kArgument, {"9 dimensions", "8"}, [] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; });
  const std::int64_t big = std::int64_t{1} << 31;
  EXPECT_EQ((Shape{big, big}).elements(), std::size_t{1} << 62);
  expect_error(kArgument, {"2^62"}, [&] { Shape{big, big, 2}; });
  expect_error(kArgument, {"2^62"}, [&] { Shape{big, 0, big, 2}; });
  expect_error(kShape, {"5 values", "[2, 3]"}, [] { Tensor(Shape{2, 3}, std::vector<float>(5)); });
}

}  // namespace
}  // namespace bytegate::testing
