// The recurrent layers as layers: printed forms, files, recognition, quantization, errors, states and lengths through a
// Sequential. Their bits are in bits_test, rows_test and the others.
#include <bytegate/model_file.h>

#include <algorithm>

#include "tests/io_testing.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"

namespace bytegate::testing {
namespace {

constexpr auto kShape = ErrorCode::shape_mismatch, kArgument = ErrorCode::invalid_argument;

RecurrentConfig sizes(std::int64_t input, std::int64_t hidden) { return {.input_size = input, .hidden_size = hidden}; }

template <class L>
L make(const RecurrentConfig& config, std::int64_t gates, const Backend* backend = nullptr) {
  Random random(3);
  return L(config, to_cells(random_cells(config, random, 1, gates)), backend);
}
template <class L>
L make_cell(const RecurrentConfig& config, std::int64_t gates) {
  Random random(3);
  return L(config, random_cells(config, random, 1, gates)[0]);
}

TEST(RecurrentLayers, Printed) {
  RecurrentConfig all = sizes(4, 6);
  all.num_layers = 2;
  all.bias = false;
  all.batch_first = all.bidirectional = true;
  EXPECT_EQ(to_string(make<GRU>(sizes(4, 6), 3)), "GRU(4, 6)");
  EXPECT_EQ(to_string(make<GRU>(all, 3)), "GRU(4, 6, num_layers=2, bias=False, batch_first=True, bidirectional=True)");
  EXPECT_EQ(to_string(GRU::from_float(make<GRU>(sizes(64, 64), 3))), "DynamicQuantizedGRU(64, 64)");
  EXPECT_EQ(to_string(make_cell<LSTMCell>(sizes(4, 6), 4)), "LSTMCell(4, 6)");
  EXPECT_EQ(to_string(GRUCell::from_float(make_cell<GRUCell>(sizes(4, 6), 3))), "DynamicQuantizedGRUCell(4, 6)");
  RecurrentConfig relu = sizes(4, 6);
  relu.nonlinearity = Nonlinearity::relu;
  EXPECT_EQ(to_string(make<RNN>(relu, 1)), "RNN(4, 6)");  // as PyTorch has it
  EXPECT_EQ(to_string(make_cell<RNNCell>(relu, 1)), "RNNCell(4, 6, nonlinearity=relu)");
  EXPECT_EQ(to_string(RNN::from_float(make<RNN>(sizes(4, 6), 1))), "DynamicQuantizedRNN(4, 6)");
  RecurrentConfig other = sizes(4, 6);
  other.reset_after = false;
  other.nonlinearity = Nonlinearity::relu;
  EXPECT_EQ(to_string(make<GRU>(other, 3)), "GRU(4, 6, nonlinearity=relu, reset_after=False)");
}

/// A model of every kind, float, whose last layers are cells: one step of a batch of 2.
Sequential every_kind() {
  Sequential model;
  RecurrentConfig deep = sizes(6, 5), reset_first = sizes(10, 7), cell = sizes(7, 7);
  deep.num_layers = 2;
  deep.bidirectional = true;
  reset_first.reset_after = false;
  reset_first.nonlinearity = Nonlinearity::relu;
  model.add("gru", make<GRU>(deep, 3));
  model.add("reset_first", make<GRU>(reset_first, 3));
  model.add("lstm", make<LSTM>(sizes(7, 7), 4));
  RecurrentConfig relu = cell;
  relu.nonlinearity = Nonlinearity::relu;
  model.add("rnn", make<RNN>(relu, 1));
  model.add("gru2", make<GRU>(cell, 3));
  return model;
}

Sequential cells_model() {
  Sequential model;
  model.add("lstm_cell", make_cell<LSTMCell>(sizes(7, 6), 4));
  RecurrentConfig config = sizes(6, 5);
  config.reset_after = false;
  model.add("gru_cell", make_cell<GRUCell>(config, 3));
  model.add("rnn_cell", make_cell<RNNCell>(sizes(5, 5), 1));
  return model;
}

Tensor input_of(const Shape& shape) {
  Random random(9);
  return random_tensor(shape, random, 2.0f);
}

// Saved and loaded, a model has the same bits, printed form and file.
TEST(RecurrentLayers, Files) {
  const TemporaryFolder folder;
  for (const auto& [model, shape] : {std::pair{every_kind(), Shape{5, 2, 6}}, {cells_model(), Shape{2, 7}}}) {
    for (const Sequential& m : {model, quantize_dynamic(model)}) {
      const Tensor x = input_of(shape);
      save_model(m, folder / "a");
      const Sequential again = load_model(folder / "a");
      EXPECT_EQ(to_string(again), to_string(m));
      EXPECT_EQ(first_difference(again.forward(x), m.forward(x)), "");
      save_model(again, folder / "b");
      EXPECT_EQ(read_text(folder / "b"), read_text(folder / "a"));
    }
    // Quantized while it is read.
    save_model(model, folder / "float");
    const QuantizeOptions options;
    LoadOptions load;
    load.quantize = &options;
    const Tensor x = input_of(shape);
    EXPECT_EQ(first_difference(load_model(folder / "float", load).forward(x), quantize_dynamic(model).forward(x)), "");
  }
  const Sequential all = quantize_dynamic(every_kind());
  for (const auto& [name, layer] : all.layers()) EXPECT_EQ(to_string(*layer).substr(0, 16), "DynamicQuantized") << name;
}

TEST(RecurrentLayers, QuantizedKindsAreChosen) {
  const auto quantized = [](std::vector<std::string> kinds) {
    QuantizeOptions options;
    options.kinds = std::move(kinds);
    std::string text;
    const Sequential model = quantize_dynamic(every_kind(), options);
    for (const auto& [name, layer] : model.layers()) text += to_string(*layer).starts_with("Dynamic") ? name + ' ' : "";
    return text;
  };
  EXPECT_EQ(quantized({"gru"}), "gru reset_first gru2 ");
  EXPECT_EQ(quantized({"lstm", "gru_cell"}), "lstm ");
}

SafetensorsFile state_dict(const std::string& prefix, const Layer& layer) {
  class Writer final : public LayerVisitor {
   public:
    Writer(const std::string& prefix, SafetensorsWriter& writer) : prefix_(prefix), writer_(writer) {}

   private:
    void weight(const std::string& name, const Weight& weight) override {
      const Tensor t = weight.floats();
      writer_.add(prefix_ + name, t.shape.dims(), std::span<const float>(t.data));
    }
    void tensor(const std::string& name, const Tensor& t) override {
      writer_.add(prefix_ + name, t.shape.dims(), std::span<const float>(t.data));
    }
    std::string prefix_;
    SafetensorsWriter& writer_;
  };
  SafetensorsWriter writer;
  Writer visitor(prefix, writer);
  layer.describe(visitor);
  return SafetensorsFile::parse(writer.bytes(), "dict");
}

// Rows for each hidden unit tell the layer: 4 an LSTM, 3 a GRU, 1 a plain RNN.
TEST(RecurrentLayers, RecognizedByTheirTensors) {
  RecurrentConfig deep = sizes(6, 5);
  deep.num_layers = 2;
  deep.bidirectional = true;
  deep.bias = false;
  const auto text = [](const Layer& layer, const std::string& prefix) {
    const Sequential model = load_model(state_dict(prefix, layer));
    return model.layers()[0].name + " " + to_string(*model.layers()[0].layer);
  };
  EXPECT_EQ(text(make<GRU>(sizes(6, 5), 3), "rnn."), "rnn GRU(6, 5)");
  EXPECT_EQ(text(make<GRU>(deep, 3), ""), "gru GRU(6, 5, num_layers=2, bias=False, bidirectional=True)");
  EXPECT_EQ(text(make<LSTM>(sizes(6, 5), 4), "rnn."), "rnn LSTM(6, 5)");
  EXPECT_EQ(text(make<RNN>(sizes(6, 5), 1), "x."), "x RNN(6, 5)");
  EXPECT_EQ(text(make_cell<RNNCell>(sizes(5, 5), 1), ""), "rnn_cell RNNCell(5, 5)");
  EXPECT_EQ(text(make_cell<LSTMCell>(sizes(6, 5), 4), ""), "lstm_cell LSTMCell(6, 5)");
  EXPECT_EQ(text(make_cell<GRUCell>(sizes(5, 5), 3), "a.b."), "a.b GRUCell(5, 5)");
}

TEST(RecurrentLayers, OptionsThatALayerDoesNotHave) {
  const auto refused = [](std::vector<std::string> parts, const auto& change, const auto& call) {
    RecurrentConfig config = sizes(3, 4);
    change(config);
    expect_error(kArgument, parts, [&] { call(config); });
  };
  const auto gru = [](const RecurrentConfig& c) { make<GRU>(c, 3); };
  const auto lstm = [](const RecurrentConfig& c) { make<LSTM>(c, 4); };
  const auto cell = [](const RecurrentConfig& c) { make_cell<GRUCell>(c, 3); };
  refused(
      {"GRU", "proj_size"}, [](auto& c) { c.proj_size = 2; }, gru);
  refused(
      {"GRU", "hidden_size is 0"}, [](auto& c) { c.hidden_size = 0; }, gru);
  refused(
      {"LSTM", "nonlinearity"}, [](auto& c) { c.nonlinearity = Nonlinearity::relu; }, lstm);
  refused(
      {"LSTM", "reset_after"}, [](auto& c) { c.reset_after = false; }, lstm);
  refused(
      {"GRUCell", "num_layers"}, [](auto& c) { c.num_layers = 2; }, cell);
  refused(
      {"GRUCell", "bidirectional"}, [](auto& c) { c.bidirectional = true; }, cell);
  RecurrentConfig config = sizes(3, 4);
  config.reset_after = false;
  const GRU other = make<GRU>(config, 3);
  expect_error(kArgument, {"torch", "reset_after"}, [&] { GRU::from_float(other, Scheme::torch()); });
  expect_error(kArgument, {"int8 already"}, [&] { GRU::from_float(GRU::from_float(other)); });
}

TEST(RecurrentLayers, WeightsOfAnotherLayer) {
  Random random(1);
  const auto four = to_cells(random_cells(sizes(3, 4), random));
  expect_error(kShape, {"GRU: weight_ih_l0", "[16, 3]", "[12, 3]"}, [&] { GRU(sizes(3, 4), four); });
  expect_error(kShape, {"GRUCell: weight_ih ", "[16, 3]", "[12, 3]"}, [&] { GRUCell(sizes(3, 4), four[0]); });
}

TEST(RecurrentLayers, BadCalls) {
  const GRU gru = make<GRU>(sizes(3, 4), 3);
  const GRUCell cell = make_cell<GRUCell>(sizes(3, 4), 3);
  const LSTMCell lstm_cell = make_cell<LSTMCell>(sizes(3, 4), 4);
  Workspace workspace;
  const Tensor x = input_of({5, 2, 3}), one = input_of({2, 3});
  Tensor y(Shape{5, 2, 4}), h(Shape{1, 2, 4}), cell_y(Shape{2, 4}), cell_h(Shape{2, 4});
  const auto call = [&](const RecurrentLayer& layer, const Tensor& in, Tensor& out, const RecurrentArgs& args) {
    layer.forward(in.view(), out.view(), args, workspace);
  };
  expect_error(kArgument, {"GRU", "c0 or cn"}, [&] { call(gru, x, y, {h.view(), h.view(), {}, {}, {}}); });
  expect_error(kArgument, {"GRU", "c0 or cn"}, [&] { call(gru, x, y, {{}, {}, {}, h.view(), {}}); });
  expect_error(kShape, {"GRU: h0", "[2, 4]", "[1, 2, 4]"}, [&] { call(gru, x, y, {cell_h.view(), {}, {}, {}, {}}); });
  const std::int64_t lengths[] = {5, 0};
  expect_error(kArgument, {"GRU", "length of 0"}, [&] { call(gru, x, y, {{}, {}, {}, {}, lengths}); });
  expect_error(kShape, {"GRUCell: the input", "[5, 2, 3]", "[B, input_size]"}, [&] { call(cell, x, y, {}); });
  expect_error(kShape, {"GRUCell: the output", "[1, 2, 4]", "[2, 4]"}, [&] { call(cell, one, h, {}); });
  expect_error(kShape, {"GRUCell: h0", "[1, 2, 4]", "[2, 4]"}, [&] {
    call(cell, one, cell_y, {h.view(), {}, {}, {}, {}});
  });
  expect_error(kShape, {"LSTMCell: c0", "[1, 2, 4]"}, [&] {
    call(lstm_cell, one, cell_y, {{}, h.view(), {}, {}, {}});
  });
  const std::int64_t steps[] = {1, 1};
  expect_error(kArgument, {"GRUCell", "lengths"}, [&] { call(cell, one, cell_y, {{}, {}, {}, {}, steps}); });
  LayerState state(2, Tensor(Shape{1, 2, 4}));
  expect_error(kArgument, {"GRU", "one tensor, h"}, [&] { gru.forward(x.view(), y.view(), workspace, &state); });
}

TEST(RecurrentLayers, NoStepsAndNoRows) {
  const GRU gru = make<GRU>(sizes(3, 4), 3);
  RecurrentState state{input_of({1, 2, 4}), {}};
  for (const GRU& layer : {gru, GRU::from_float(gru)}) {
    const RecurrentResult none = layer.forward(Tensor(Shape{0, 2, 3}), &state);
    EXPECT_EQ(first_difference(none.state.h, state.h), "");
    EXPECT_EQ(layer.forward(Tensor(Shape{4, 0, 3})).output.shape, (Shape{4, 0, 4}));
  }
  const GRUCell cell = make_cell<GRUCell>(sizes(3, 4), 3);
  EXPECT_EQ(cell.forward(Tensor(Shape{0, 3})).output.shape, (Shape{0, 4}));
}

class RecurrentModels : public BackendTest {};

/// A backend of the user's own without a step of the layer.
TEST_P(RecurrentModels, BackendWithoutTheStep) {
  Kernels int8 = *backend().kernels->int8, f32 = *backend().kernels->f32;
  std::fill_n(int8.recurrent_step + 1, kCells - 1, nullptr);
  std::fill_n(f32.recurrent_step + 1, kCells - 1, nullptr);
  BackendKernels kernels = *backend().kernels;
  kernels.int8 = &int8;
  kernels.f32 = &f32;
  Backend other = backend();
  other.name = "other";
  other.kernels = &kernels;
  const GRU gru = make<GRU>(sizes(3, 4), 3, &backend());
  expect_error(ErrorCode::unsupported_backend, {"GRU", "'other'", "float32"},
               [&] { make<GRU>(sizes(3, 4), 3, &other); });
  expect_error(ErrorCode::unsupported_backend, {"GRU", "'other'", "int8"}, [&] { GRU::from_float(gru, {}, &other); });
  const Tensor x = input_of({4, 2, 3});  // a torch scheme needs no step
  EXPECT_EQ(first_difference(GRU::from_float(gru, Scheme::torch(), &other).forward(x).output,
                             GRU::from_float(gru, Scheme::torch()).forward(x).output),
            "");
}

// Lengths reach every recurrent layer of a Sequential, and states of every kind go through it: a sequence of a padded
// batch has the outputs and the end states that it has alone.
TEST_P(RecurrentModels, SequentialPassesLengthsAndStates) {
  QuantizeOptions options;
  options.backend = &backend();
  const Sequential model = quantize_dynamic(every_kind(), options);
  const std::vector<std::int64_t> lengths = {3, 6, 1, 4};
  const Tensor x = input_of({6, 4, 6});
  Tensor y(model.output_shape(x.shape));
  Workspace workspace;
  ModelState state;
  model.forward(x.view(), y.view(), workspace, &state, lengths);
  ASSERT_EQ(state.layers.size(), 5u);
  EXPECT_EQ(state.layers[2].size(), 2u);
  for (std::int64_t b = 0; b < 4; ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    const Tensor alone = take_row(x, false, b, 0, length);
    Tensor expected(model.output_shape(alone.shape));
    ModelState its_state;
    model.forward(alone.view(), expected.view(), workspace, &its_state);
    EXPECT_EQ(first_difference(take_row(y, false, b, 0, length), expected), "") << "row " << b;
    for (std::size_t i = 0; i < 5; ++i) {
      const LSTMState end = take_state({state.layers[i][0], {}}, b);
      EXPECT_EQ(first_difference(end.h, its_state.layers[i][0]), "") << "h of layer " << i << ", row " << b;
    }
  }
}

// A step at a time through cells is the sequence through layers.
TEST_P(RecurrentModels, CellsInASequentialKeepTheirStates) {
  QuantizeOptions options;
  options.backend = &backend();
  const Sequential model = quantize_dynamic(cells_model(), options);
  Sequential layers;
  const auto& lstm = dynamic_cast<const LSTMCell&>(*model.layers()[0].layer);
  const auto& gru = dynamic_cast<const GRUCell&>(*model.layers()[1].layer);
  layers.add("lstm", LSTM(lstm.config(), lstm.cells(), &backend()));
  layers.add("gru", GRU(gru.config(), gru.cells(), &backend()));
  const auto& rnn = dynamic_cast<const RNNCell&>(*model.layers()[2].layer);
  layers.add("rnn", RNN(rnn.config(), rnn.cells(), &backend()));
  const Tensor x = input_of({5, 3, 7}), whole = layers.forward(x);
  Workspace workspace;
  ModelState state;
  for (std::int64_t t = 0; t < 5; ++t) {
    Tensor y(Shape{3, 5});
    model.forward({x.data.data() + t * 21, Shape{3, 7}}, y.view(), workspace, &state);
    EXPECT_TRUE(std::equal(y.data.begin(), y.data.end(), whole.data.begin() + t * 15)) << "step " << t;
  }
  EXPECT_EQ(state.layers[0].size(), 2u);
  EXPECT_EQ(state.layers[1].size(), 1u);
}

BYTEGATE_ON_EVERY_BACKEND(RecurrentModels);

}  // namespace
}  // namespace bytegate::testing
