// Wrong calls of the layers: each an Error with its code, that names what was wrong and what was expected, and nothing
// is written.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/io_testing.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

constexpr auto kShape = ErrorCode::shape_mismatch;
constexpr auto kArgument = ErrorCode::invalid_argument;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

Tensor filled(const Shape& shape, float value) {
  Tensor tensor(shape);
  std::ranges::fill(tensor.data, value);
  return tensor;
}

class LinearCalls : public BackendTest {
 protected:
  Linear layer() const { return Linear(filled({3, 4}, 0.5f).view(), filled({3}, 1.0f).view(), false, &backend()); }
};

TEST_P(LinearCalls, Construction) {
  const Tensor weight = filled({3, 4}, 1), bias = filled({3}, 1);
  const auto make = [&](ConstTensorView w, ConstTensorView b) {
    return [=, this] { Linear(w, b, false, &backend()); };
  };
  expect_error(kShape, {"weight", "[12]", "[out_features, in_features]"}, make({weight.data.data(), Shape{12}}, {}));
  expect_error(kShape, {"weight", "[]"}, make({weight.data.data(), Shape{}}, {}));
  expect_error(kShape, {"weight", "[3, 2, 2]"}, make({weight.data.data(), Shape{3, 2, 2}}, {}));
  expect_error(kArgument, {"weight", "null", "[3, 4]"}, make({nullptr, Shape{3, 4}}, {}));
  expect_error(kShape, {"bias", "[2]", "[3]"}, make(weight.view(), {bias.data.data(), Shape{2}}));
  expect_error(kShape, {"bias", "[1, 3]", "[3]"}, make(weight.view(), {bias.data.data(), Shape{1, 3}}));
  expect_error(kArgument, {"65537", "65536"}, make(filled({1, 65537}, 0).view(), {}));
}

TEST_P(LinearCalls, QuantizedConstruction) {
  const auto make = [this](const QuantizedWeight& w, ConstTensorView b) {
    return [=, this] { Linear(w, b, Scheme::per_row(), false, &backend()); };
  };
  const QuantizedWeight good{2, 3, std::vector<std::int8_t>(6), {1, 1}};
  const auto with = [&](const auto& change) {
    QuantizedWeight w = good;
    change(w);
    return w;
  };
  expect_error(kShape, {"weight", "5", "[2, 3]"}, make(with([](auto& w) { w.data.pop_back(); }), {}));
  expect_error(kShape, {"weight", "3 scales", "2"}, make(with([](auto& w) { w.scales = {1, 1, 1}; }), {}));
  expect_error(kShape, {"weight", "0 scales", "2"}, make(with([](auto& w) { w.scales = {}; }), {}));
  expect_error(kArgument, {"weight", "NaN"}, make(with([](auto& w) { w.scales[1] = kNan; }), {}));
  expect_error(kArgument, {"weight", "infinity"}, make(with([](auto& w) { w.scales[1] = kInfinity; }), {}));
  expect_error(kArgument, {"weight", "negative"}, make(with([](auto& w) { w.scales[1] = -1; }), {}));
  expect_error(kArgument, {"-2"}, make(with([](auto& w) { w.rows = -2; }), {}));
  const Tensor bias(Shape{2}, {1.0f, -kInfinity}), longer = filled({3}, 1);
  expect_error(kArgument, {"bias", "element 1"}, make(good, bias.view()));
  expect_error(kShape, {"bias", "[3]", "[2]"}, make(good, longer.view()));
}

TEST_P(LinearCalls, Forward) {
  const Tensor x = filled({2, 4}, 1);
  for (bool quantized : {false, true}) {
    const Linear plain = layer();
    const auto int8 = Linear::from_float(plain);
    Tensor y = filled({2, 3}, 7);
    Workspace workspace;
    const auto call = [&](ConstTensorView in, TensorView out) {
      return [&, in, out] { quantized ? int8.forward(in, out, workspace) : plain.forward(in, out, workspace); };
    };
    expect_error(kShape, {"input", "[]", "[..., 4]"}, call({x.data.data(), Shape{}}, y.view()));
    expect_error(kShape, {"input", "[2, 3]", "[..., 4]"}, call({x.data.data(), Shape{2, 3}}, y.view()));
    expect_error(kShape, {"input", "[4, 2]", "[..., 4]"}, call({x.data.data(), Shape{4, 2}}, y.view()));
    expect_error(kShape, {"output", "[2, 4]", "[2, 3]"}, call(x.view(), {y.data.data(), Shape{2, 4}}));
    expect_error(kShape, {"output", "[6]", "[2, 3]"}, call(x.view(), {y.data.data(), Shape{6}}));
    expect_error(kShape, {"output", "[1, 3]", "[2, 3]"}, call(x.view(), {y.data.data(), Shape{1, 3}}));
    expect_error(kArgument, {"input", "null", "[2, 4]"}, call({nullptr, Shape{2, 4}}, y.view()));
    expect_error(kArgument, {"output", "null", "[2, 3]"}, call(x.view(), {nullptr, Shape{2, 3}}));
    EXPECT_EQ(first_difference(y, filled({2, 3}, 7)), "");
  }
  expect_error(kShape, {"[2, 5]"}, [&] { layer().forward(Tensor(Shape{2, 5})); });
  expect_error(kShape, {"[]"}, [&] { layer().forward(Tensor(Shape{})); });
}

// Sizes of 0 and 1.
TEST_P(LinearCalls, SmallSizes) {
  Workspace workspace;
  for (auto [m, n, k] : {std::tuple{0, 3, 4}, {2, 0, 4}, {2, 3, 0}, {0, 0, 0}, {1, 1, 1}}) {
    const Tensor weight = filled({n, k}, 2), bias = filled({n}, 0.25f), x = filled({m, k}, 3);
    const Linear plain(weight.view(), bias.view(), false, &backend());
    const Tensor expected = filled({m, n}, 0.25f + 6.0f * static_cast<float>(k));
    EXPECT_EQ(difference(plain.forward(x), expected), 0) << m << n << k;
    for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch()}) {
      const Tensor y = Linear::from_float(plain, scheme).forward(x);
      EXPECT_LT(difference(y, expected), 1e-2) << m << n << k << to_string(scheme);
    }
    // Without an element, data may be null.
    if (x.data.empty() && expected.data.empty())
      plain.forward({nullptr, x.shape}, {nullptr, expected.shape}, workspace);
  }
}

LSTMConfig small_config() {
  LSTMConfig config;
  config.input_size = 3;
  config.hidden_size = 4;
  config.num_layers = 2;
  config.bidirectional = true;
  config.proj_size = 2;
  return config;
}

class LstmCalls : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    Random random(3);
    cells_ = random_cells(small_config(), random);
  }
  LSTM layer() const { return LSTM(small_config(), to_cells(cells_), &backend()); }

  std::vector<FloatCell> cells_;
};

TEST_P(LstmCalls, Config) {
  using Size = std::int64_t LSTMConfig::*;
  const auto refuse = [this](const char* name, Size size, std::int64_t value, const char* accepted) {
    LSTMConfig config = small_config();
    config.*size = value;
    const std::vector<std::string> parts = {name, std::to_string(value), accepted};
    expect_error(kArgument, parts, [&] { validate(config); });
    expect_error(kArgument, parts, [&] { LSTM(config, to_cells(cells_), &backend()); });
  };
  // With the largest ones, products of sizes do not fit 64 bits. That is an Error, not what an allocation throws.
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{65537}, std::int64_t{1} << 62,
                                   std::numeric_limits<std::int64_t>::max()}) {
    refuse("input_size", &LSTMConfig::input_size, value, "1 to 65536");
    refuse("hidden_size", &LSTMConfig::hidden_size, value, "1 to 65536");
    refuse("num_layers", &LSTMConfig::num_layers, value, "1 to 65536");
  }
  for (const std::int64_t value : {-1, 4, 5}) refuse("proj_size", &LSTMConfig::proj_size, value, "hidden_size - 1");
}

TEST_P(LstmCalls, Cells) {
  const auto refuse = [this](ErrorCode code, std::vector<std::string> parts, const auto& change) {
    auto cells = cells_;
    change(cells);
    expect_error(code, parts, [&] { LSTM(small_config(), to_cells(cells), &backend()); });
  };
  refuse(kArgument, {"3 cells", "4"}, [](auto& c) { c.pop_back(); });
  refuse(kArgument, {"5 cells", "4"}, [](auto& c) { c.push_back(c[0]); });
  refuse(kArgument, {"0 cells", "4"}, [](auto& c) { c.clear(); });
  refuse(kShape, {"weight_ih_l0", "[16, 5]", "[16, 3]"}, [](auto& c) { c[0].weight_ih = filled({16, 5}, 1); });
  refuse(kShape, {"weight_ih_l1 ", "[16, 3]", "[16, 4]"}, [](auto& c) { c[2].weight_ih = filled({16, 3}, 1); });
  refuse(kShape, {"weight_hh_l0_reverse", "[16, 4]", "[16, 2]"}, [](auto& c) { c[1].weight_hh = filled({16, 4}, 1); });
  refuse(kShape, {"weight_hr_l1_reverse", "[4, 2]", "[2, 4]"}, [](auto& c) { c[3].weight_hr = filled({4, 2}, 1); });
  refuse(kShape, {"weight_hr_l0", "[2, 4]"}, [](auto& c) { c[0].weight_hr = Tensor(); });
  refuse(kShape, {"bias_ih_l0", "[15]", "[16]"}, [](auto& c) { c[0].bias_ih = filled({15}, 1); });
  refuse(kShape, {"bias_hh_l1", "[16]"}, [](auto& c) { c[2].bias_hh = Tensor(); });
  refuse(kShape, {"bias_hh_l0_reverse", "[16, 1]", "[16]"}, [](auto& c) { c[1].bias_hh = filled({16, 1}, 1); });
  // Data that is not what its shape says.
  refuse(kShape, {"7 values", "[16, 3]"}, [](auto& c) { c[0].weight_ih.data.resize(7); });
  refuse(kShape, {"0 values", "[16, 2]"}, [](auto& c) { c[0].weight_hh.data = {}; });
  refuse(kShape, {"bias_hh_l0"}, [](auto& c) { c[0].bias_hh.data.resize(7); });

  LSTMConfig without = small_config();
  without.bias = false;
  expect_error(kShape, {"bias_ih_l0", "[16]", "[0]"}, [&] { LSTM(without, to_cells(cells_), &backend()); });
}

TEST_P(LstmCalls, QuantizedCells) {
  const auto good = LSTM::from_float(layer()).cells();
  const auto refuse = [&](ErrorCode code, std::vector<std::string> parts, const auto& change) {
    auto cells = good;
    expect_error(code, parts, [&] {
      change(cells);
      LSTM(small_config(), cells, Scheme::per_row(), &backend());
    });
  };
  const auto change = [](Weight& weight, const auto& how) {
    QuantizedWeight q = weight.int8s();
    how(q);
    weight = q;
  };
  refuse(kArgument, {"3 cells", "4"}, [](auto& c) { c.pop_back(); });
  refuse(kShape, {"weight_ih_l0", "[16, 2]", "[16, 3]"}, [&](auto& c) {
    c[0].weight_ih = QuantizedWeight{16, 2, std::vector<std::int8_t>(32), {1.0f}};
  });
  refuse(kShape, {"values", "[16, 2]"}, [&](auto& c) { change(c[2].weight_hh, [](auto& q) { q.data.pop_back(); }); });
  refuse(kShape, {"scales", "16"}, [&](auto& c) { change(c[3].weight_hh, [](auto& q) { q.scales.pop_back(); }); });
  refuse(kArgument, {"NaN"}, [&](auto& c) { change(c[0].weight_hr, [](auto& q) { q.scales[0] = kNan; }); });
  refuse(kArgument, {"weight_hh_l0", "float32", "one type"}, [&](auto& c) { c[0].weight_hh = Tensor(Shape{16, 2}); });
  refuse(kArgument, {"bias_ih_l0", "infinity", "element 5"}, [](auto& c) { c[0].bias_ih.data[5] = kInfinity; });
  refuse(kArgument, {"bias_hh_l1_reverse", "NaN"}, [](auto& c) { c[3].bias_hh.data[0] = kNan; });
}

// Float layers accept any weight; weights that are quantized must be finite.
TEST_P(LstmCalls, NonFiniteWeights) {
  for (float bad : {kNan, kInfinity, -kInfinity}) {
    for (Tensor FloatCell::*weight : {&FloatCell::weight_ih, &FloatCell::weight_hh, &FloatCell::weight_hr,
                                      &FloatCell::bias_ih, &FloatCell::bias_hh}) {
      auto cells = cells_;
      (cells[1].*weight).data[1] = bad;
      const LSTM plain(small_config(), to_cells(cells), &backend());
      expect_error(kArgument, {"NaN or infinity", "element 1"}, [&] { LSTM::from_float(plain); });
      expect_error(kArgument, {"NaN or infinity", "element 1"}, [&] { LSTM::from_float(plain, Scheme::torch()); });
    }
    Tensor weight = filled({2, 2}, 1), bias = filled({2}, bad);
    expect_error(kArgument, {"bias"},
                 [&] { Linear::from_float(Linear(weight.view(), bias.view(), false, &backend())); });
    weight.data[3] = bad;
    expect_error(kArgument, {"weight", "element 3"}, [&] { quantize_weight(weight.view(), Scheme::per_row()); });
  }
}

/// A right call of the small LSTM with T = 5 and B = 3, to be spoiled.
struct Call {
  Tensor x = filled({5, 3, 3}, 0.5f), y = filled({5, 3, 4}, 7), h0 = filled({4, 3, 2}, 0.1f),
         c0 = filled({4, 3, 4}, 0.1f);
  Tensor hn = filled({4, 3, 2}, 7), cn = filled({4, 3, 4}, 7);
  ConstTensorView in = x.view();
  TensorView out = y.view();
  std::vector<std::int64_t> lengths;
  LSTMArgs args{h0.view(), c0.view(), hn.view(), cn.view(), {}};
};

void set_lengths(Call& call, std::vector<std::int64_t> lengths) {
  call.lengths = std::move(lengths);
  call.args.lengths = call.lengths;
}

struct BadCall {
  ErrorCode code;
  std::vector<std::string> parts;
  void (*spoil)(Call&);
};

const std::vector<BadCall>& bad_calls() {
  static const std::vector<BadCall> calls = {
      {kShape, {"input", "[45]"}, [](Call& c) { c.in.shape = {45}; }},
      {kShape, {"input", "[]"}, [](Call& c) { c.in.shape = {}; }},
      {kShape,
       {"input", "[1, 5, 3, 3]"},
       [](Call& c) {
         c.in.shape = {1, 5, 3, 3};
       }},
      {kShape,
       {"input", "[5, 3, 2]", "input_size"},
       [](Call& c) {
         c.in.shape = {5, 3, 2};
       }},
      {kShape,
       {"output", "[5, 3, 3]", "[5, 3, 4]"},
       [](Call& c) {
         c.out.shape = {5, 3, 3};
       }},
      {kShape,
       {"output", "[3, 5, 4]", "[5, 3, 4]"},
       [](Call& c) {
         c.out.shape = {3, 5, 4};
       }},
      {kShape,
       {"output", "[15, 4]", "[5, 3, 4]"},
       [](Call& c) {
         c.out.shape = {15, 4};
       }},
      {kArgument, {"input", "null"}, [](Call& c) { c.in.data = nullptr; }},
      {kArgument, {"output", "null"}, [](Call& c) { c.out.data = nullptr; }},
      {kShape,
       {"h0", "[4, 3, 4]", "[4, 3, 2]"},
       [](Call& c) {
         c.args.h0.shape = {4, 3, 4};
       }},
      {kShape,
       {"h0", "[4, 2]", "[4, 3, 2]"},
       [](Call& c) {
         c.args.h0.shape = {4, 2};
       }},
      {kShape,
       {"h0", "[2, 3, 2]", "[4, 3, 2]"},
       [](Call& c) {
         c.args.h0.shape = {2, 3, 2};
       }},
      {kShape,
       {"c0", "[4, 3, 2]", "[4, 3, 4]"},
       [](Call& c) {
         c.args.c0.shape = {4, 3, 2};
       }},
      {kShape,
       {"hn", "[4, 1, 2]", "[4, 3, 2]"},
       [](Call& c) {
         c.args.hn.shape = {4, 1, 2};
       }},
      {kShape,
       {"cn", "[3, 4, 4]", "[4, 3, 4]"},
       [](Call& c) {
         c.args.cn.shape = {3, 4, 4};
       }},
      {kShape,
       {"2 lengths", "3"},
       [](Call& c) {
         set_lengths(c, {1, 2});
       }},
      {kShape,
       {"4 lengths", "3"},
       [](Call& c) {
         set_lengths(c, {1, 2, 3, 4});
       }},
      {kArgument,
       {"length of 0", "1 to 5"},
       [](Call& c) {
         set_lengths(c, {5, 0, 3});
       }},
      {kArgument,
       {"length of 6", "1 to 5"},
       [](Call& c) {
         set_lengths(c, {5, 4, 6});
       }},
      {kArgument,
       {"length of -1", "1 to 5"},
       [](Call& c) {
         set_lengths(c, {-1, 4, 5});
       }},
  };
  return calls;
}

TEST_P(LstmCalls, Forward) {
  const LSTM plain = layer();
  const auto int8 = LSTM::from_float(plain), torch = LSTM::from_float(plain, Scheme::torch());
  for (const BadCall& bad : bad_calls()) {
    for (int kind : {0, 1, 2}) {
      Call c;
      bad.spoil(c);
      Workspace workspace;
      expect_error(bad.code, bad.parts, [&] {
        if (kind == 0) return plain.forward(c.in, c.out, c.args, workspace);
        (kind == 1 ? int8 : torch).forward(c.in, c.out, c.args, workspace);
      });
      EXPECT_EQ(first_difference(c.y, Call().y) + first_difference(c.hn, Call().hn) + first_difference(c.cn, Call().cn),
                "");
    }
  }
  Call right;
  Workspace workspace;
  int8.forward(right.in, right.out, right.args, workspace);  // the call itself is a right one
  EXPECT_NE(first_difference(right.y, Call().y), "");
}

TEST_P(LstmCalls, UnbatchedStates) {
  const LSTM plain = layer();
  const Tensor x = filled({5, 3}, 1), h = filled({4, 1, 2}, 0), c = filled({4, 1, 4}, 0);
  Tensor y(Shape{5, 4});
  Workspace workspace;
  expect_error(kShape, {"h0", "[4, 1, 2]", "[4, 2]"}, [&] {
    plain.forward(x.view(), y.view(), {h.view(), {}, {}, {}, {}}, workspace);
  });
  expect_error(kShape, {"c0", "[4, 1, 4]", "[4, 4]"}, [&] {
    plain.forward(x.view(), y.view(), {{}, c.view(), {}, {}, {}}, workspace);
  });
}

// No steps: the state stays as it is. No rows: nothing happens.
TEST_P(LstmCalls, NoStepsAndNoRows) {
  Random random(4);
  for (bool batch_first : {false, true}) {
    LstmCase c;
    c.config = small_config();
    c.config.batch_first = batch_first;
    c.batch = 3;
    c.steps = 0;
    c.has_state = true;
    fill(c, random);
    c.state.c.data[3] = kNan;
    LstmCase empty = c;
    empty.batch = 0;
    empty.steps = 4;
    fill(empty, random);
    for (const LstmKind& kind : lstm_kinds()) {
      const LSTMResult none = run(c, kind, backend());
      EXPECT_EQ(none.output.data.size(), 0u);
      EXPECT_EQ(first_difference(none.state.h, c.state.h), "") << kind.name;
      EXPECT_EQ(first_difference(none.state.c, c.state.c), "") << kind.name;
      const LSTMResult no_rows = run(empty, kind, backend());
      EXPECT_EQ(no_rows.output.shape, (batch_first ? Shape{0, 4, 4} : Shape{4, 0, 4}));
    }
  }
}

BYTEGATE_ON_EVERY_BACKEND(LinearCalls);
BYTEGATE_ON_EVERY_BACKEND(LstmCalls);

}  // namespace
}  // namespace bytegate::testing
