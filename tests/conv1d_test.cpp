// Conv1d against naive loops and the oracle's Linear, in both layouts, streamed and whole.
#include <bytegate/model_file.h>

#include <cmath>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/oracle.h"
#include "tests/support/sample_layers.h"

namespace bytegate::testing {
namespace {

class Conv1dTest : public BackendTest {};

struct ConvCase {
  Conv1dConfig config;
  std::int64_t batch, steps;
  Tensor weight, bias, x;  ///< x [batch, steps, channels]

  std::int64_t span() const { return (config.kernel_size - 1) * config.dilation + 1; }
  std::int64_t in_front() const { return config.causal ? span() - 1 : config.padding; }
  std::int64_t out_steps() const {
    return config.causal ? (steps + config.stride - 1) / config.stride
                         : (steps + 2 * config.padding - span()) / config.stride + 1;
  }
  Conv1d layer(const Backend& backend) const {
    return Conv1d(config, weight.view(), bias.data.empty() ? ConstTensorView{} : bias.view(), &backend);
  }
  std::string text() const {
    return to_string(layer(scalar_backend())) + " on " + std::to_string(batch) + " x " + std::to_string(steps);
  }
  /// The inputs of every output position, [batch * out_steps, channels * kernel], in the order of PyTorch's weights.
  Tensor windows() const {
    const std::int64_t c = config.in_channels, k = config.kernel_size;
    Tensor rows(Shape{batch * out_steps(), c * k});
    for (std::int64_t row = 0; row < batch * out_steps(); ++row) {
      for (std::int64_t j = 0; j < c * k; ++j) {
        const std::int64_t b = row / out_steps(),
                           t = row % out_steps() * config.stride + j % k * config.dilation - in_front();
        if (t < 0 || t >= steps) continue;
        rows.data[static_cast<std::size_t>(row * c * k + j)] =
            x.data[static_cast<std::size_t>((b * steps + t) * c + j / k)];
      }
    }
    return rows;
  }
};

ConvCase random_case(std::uint64_t seed, bool depthwise = false) {
  Random random(seed);
  ConvCase c;
  c.config.in_channels = random.pick({1, 2, 5, 16, 33});
  c.config.out_channels = depthwise ? c.config.in_channels : random.pick({1, 7, 16, 40, 65});
  if (depthwise) c.config.groups = c.config.in_channels;
  c.config.kernel_size = random.integer(1, 6);
  c.config.stride = random.integer(1, 4);
  c.config.dilation = random.chance(50) ? 1 : random.integer(2, 4);
  c.config.causal = random.chance(30);
  c.config.padding = c.config.causal || random.chance(40) ? 0 : random.integer(1, 12);
  c.config.channels_last = true;
  c.batch = random.integer(1, 3);
  c.steps = c.span() + random.pick({0, 1, 3, 30, 150, 700});
  c.weight =
      random_tensor({c.config.out_channels, c.config.in_channels / c.config.groups, c.config.kernel_size}, random);
  if (random.chance(70)) c.bias = random_tensor({c.config.out_channels}, random);
  c.x = random_tensor({c.batch, c.steps, c.config.in_channels}, random, 3.0f);
  return c;
}

/// [B, T, C] <-> [B, C, T]
Tensor swapped(const Tensor& x) {
  const Permute permute({0, 2, 1});
  Tensor y(permute.output_shape(x.shape));
  permute.forward(x.view(), y.view());
  return y;
}

Conv1dConfig channels_first(Conv1dConfig config) {
  config.channels_last = false;
  return config;
}

TEST_P(Conv1dTest, AsTheOracle) {
  for (std::uint64_t seed = 0; seed < (size() == 0 ? 12 : 120) && !HasFailure(); ++seed) {
    const ConvCase c = random_case(seed);
    SCOPED_TRACE(c.text());
    const Tensor windows = c.windows();
    const Shape flat{c.config.out_channels, c.config.in_channels * c.config.kernel_size},
        out{c.batch, c.out_steps(), c.config.out_channels};
    const Conv1d layer = c.layer(backend()), quantized = Conv1d::from_float(layer);
    const Linear linear(Tensor(flat, c.weight.data).view(), c.bias.data.empty() ? ConstTensorView{} : c.bias.view());
    const Tensor exact(out, oracle::linear(linear, windows, oracle::Arithmetic::exact).data);
    const Tensor y = layer.forward(c.x), q = quantized.forward(c.x);
    EXPECT_LE(difference(y, exact), 1e-5);
    const Tensor expected(out, oracle::quantized_linear(quantized.weight().int8s(), c.bias.data, windows, false).data);
    EXPECT_EQ(first_difference(q, expected), "") << "int8";
    EXPECT_EQ(first_difference(Tensor(flat, layer.weight().floats().data), Tensor(flat, c.weight.data)), "");
    // PyTorch's layout, and its schemes as a Linear has them.
    const Conv1d first(channels_first(c.config), c.weight.view(),
                       c.bias.data.empty() ? ConstTensorView{} : c.bias.view(), &backend());
    EXPECT_EQ(first_difference(swapped(first.forward(swapped(c.x))), y), "") << "channels first";
    EXPECT_EQ(first_difference(swapped(Conv1d::from_float(first).forward(swapped(c.x))), q), "") << "channels first";
    for (const Conv1d& same :
         {layer.in_layout(false), first.in_layout(false), first.in_layout(true).in_layout(false)}) {
      EXPECT_EQ(same.config(), first.config());
      EXPECT_EQ(first_difference(swapped(same.forward(swapped(c.x))), y), "") << "in_layout";
    }
    EXPECT_EQ(first_difference(swapped(quantized.in_layout(false).forward(swapped(c.x))), q), "") << "in_layout";
    for (const Scheme& scheme : {Scheme::torch(false, 8), Scheme::torch(true, 7)}) {
      const Tensor torch = Conv1d::from_float(layer, scheme).forward(c.x);
      EXPECT_EQ(first_difference(swapped(Conv1d::from_float(first, scheme).forward(swapped(c.x))), torch), "");
      EXPECT_GT(sqnr(exact, torch), 20) << to_string(scheme);
    }
  }
}

// Every channel is a convolution of its own; in int8, the scale is that of the whole window.
TEST_P(Conv1dTest, Depthwise) {
  for (std::uint64_t seed = 0; seed < (size() == 0 ? 12 : 80) && !HasFailure(); ++seed) {
    const ConvCase c = random_case(1000 + seed, true);
    if (c.config.in_channels == 1) continue;
    SCOPED_TRACE(c.text());
    const Tensor windows = c.windows();
    const std::int64_t channels = c.config.in_channels, k = c.config.kernel_size;
    // The dense weight: zeros but for a channel's own inputs.
    Tensor dense(Shape{channels, channels * k});
    for (std::int64_t o = 0; o < channels; ++o) {
      for (std::int64_t j = 0; j < k; ++j) {
        dense.data[static_cast<std::size_t>(o * channels * k + o * k + j)] =
            c.weight.data[static_cast<std::size_t>(o * k + j)];
      }
    }
    const Shape out{c.batch, c.out_steps(), channels};
    const Conv1d layer = c.layer(backend()), quantized = Conv1d::from_float(layer);
    const Linear linear(dense.view(), c.bias.data.empty() ? ConstTensorView{} : c.bias.view());
    const Tensor exact(out, oracle::linear(linear, windows, oracle::Arithmetic::exact).data);
    EXPECT_LE(difference(layer.forward(c.x), exact), 1e-5);
    const Tensor q = quantized.forward(c.x);
    const Tensor expected(
        out, oracle::quantized_linear(Linear::from_float(linear).weight().int8s(), c.bias.data, windows, false).data);
    EXPECT_LE(difference(q, expected), 1e-6) << "int8, but for the last rounding";
    EXPECT_EQ(quantized.weight().int8s().data, Weight::quantizing(layer.weight(), {}).int8s().data);
    Conv1dConfig config = channels_first(c.config);
    const Conv1d first(config, c.weight.view(), c.bias.data.empty() ? ConstTensorView{} : c.bias.view(), &backend());
    EXPECT_EQ(first_difference(swapped(Conv1d::from_float(first).forward(swapped(c.x))), q), "");
    EXPECT_EQ(first_difference(swapped(quantized.in_layout(false).forward(swapped(c.x))), q), "");
    for (const Scheme& scheme : {Scheme::torch(false, 8), Scheme::torch(true, 7)})
      EXPECT_GT(sqnr(exact, Conv1d::from_float(layer, scheme).forward(c.x)), 15) << to_string(scheme);
  }
}

// A causal layer with its state, in chunks, computes the bits of the whole, in both layouts.
TEST_P(Conv1dTest, StreamedAsWhole) {
  Random random(9);
  for (const bool last : {true, false}) {
    for (const std::int64_t groups : {1, 6}) {
      for (const std::int64_t stride : {1, 2}) {
        for (const std::int64_t dilation : {1, 3}) {
          const Conv1dConfig config{.in_channels = 6,
                                    .out_channels = 6,
                                    .kernel_size = 4,
                                    .stride = stride,
                                    .dilation = dilation,
                                    .groups = groups,
                                    .channels_last = last,
                                    .causal = true};
          const Tensor weight = random_tensor({6, 6 / groups, 4}, random), whole = random_tensor({2, 40, 6}, random);
          const Conv1d layer(config, weight.view(), {}, &backend());
          SCOPED_TRACE(to_string(layer));
          for (const Conv1d& form : {layer, Conv1d::from_float(layer)}) {
            Sequential model;
            model.add("conv", form);
            const auto run = [&](const Tensor& x, ModelState* state) {
              const Tensor in = last ? x : swapped(x);
              Tensor y(model.output_shape(in.shape));
              Workspace workspace;
              model.forward(in.view(), y.view(), workspace, state);
              return last ? y : swapped(y);
            };
            const Tensor expected = run(whole, nullptr);
            ModelState state;
            std::int64_t done = 0;
            for (const std::int64_t count : {2, 4, 2, 20, 0, 12}) {
              Tensor x(Shape{2, count, 6});
              for (std::int64_t b = 0; b < 2; ++b)
                std::copy_n(whole.data.begin() + (b * 40 + done) * 6, count * 6, x.data.begin() + b * count * 6);
              const Tensor y = run(x, &state);
              for (std::int64_t b = 0; b < 2; ++b)
                EXPECT_EQ(first_difference(take_row(y, true, b, 0, count / stride),
                                           take_row(expected, true, b, done / stride, count / stride)),
                          "")
                    << "from step " << done;
              done += count;
            }
          }
        }
      }
    }
  }
}

// A padded batch with lengths: each sequence as it is alone, whatever its padding holds, through two convolutions, an
// activation and the last step.
TEST_P(Conv1dTest, RaggedSequencesAsAlone) {
  Random random(3);
  for (const bool last : {true, false}) {
    for (const std::int64_t groups : {1, 4}) {
      const Conv1dConfig first{.in_channels = 4,
                               .out_channels = 4,
                               .kernel_size = 3,
                               .padding = 2,
                               .dilation = 2,
                               .groups = groups,
                               .channels_last = last},
          second{
              .in_channels = 4, .out_channels = 9, .kernel_size = 4, .stride = 2, .padding = 1, .channels_last = last};
      Sequential model;
      model.add("first", Conv1d(first, random_tensor({4, 4 / groups, 3}, random).view(), {}, &backend()));
      model.add("act", Sigmoid(&backend()));
      model.add("second", Conv1d(second, random_tensor({9, 4, 4}, random).view(), {}, &backend()));
      if (!last) model.add("permute", Permute({0, 2, 1}));
      model.add("last", LastStep(true));
      Tensor x = random_tensor({3, 31, 4}, random);
      const std::vector<std::int64_t> lengths = {17, 31, 6};
      for (std::int64_t b = 0; b < 3; ++b)
        std::fill(x.data.begin() + (b * 31 + lengths[static_cast<std::size_t>(b)]) * 4,
                  x.data.begin() + (b + 1) * 31 * 4, NAN);
      for (const Sequential& m : {model, quantize_dynamic(model)}) {
        const Tensor in = last ? x : swapped(x);
        Tensor y(m.output_shape(in.shape));
        Workspace workspace;
        m.forward(in.view(), y.view(), workspace, nullptr, lengths);
        for (std::int64_t b = 0; b < 3; ++b) {
          const Tensor alone = take_row(x, true, b, 0, lengths[static_cast<std::size_t>(b)]);
          const Tensor item(Shape{1, alone.shape[0], 4}, alone.data);
          EXPECT_EQ(first_difference(batch_item(y, b), m.forward(last ? item : swapped(item))), "") << "sequence " << b;
        }
      }
      const std::int64_t wrong[] = {3, 32, 1};
      Tensor y(model.output_shape(last ? x.shape : swapped(x).shape));
      Workspace workspace;
      EXPECT_THROW(model.forward(last ? x.view() : swapped(x).view(), y.view(), workspace, nullptr, wrong), Error);
    }
  }
}

TEST_P(Conv1dTest, WithoutABatch) {
  for (const bool last : {true, false}) {
    const Conv1dConfig config{.in_channels = 3, .out_channels = 4, .kernel_size = 2, .channels_last = last};
    Random random(2);
    const Conv1d layer(config, random_tensor({4, 3, 2}, random).view(), {}, &backend());
    const Tensor x = random_tensor(last ? Shape{7, 3} : Shape{3, 7}, random);
    const Tensor batched = layer.forward(Tensor(Shape{1, x.shape[0], x.shape[1]}, x.data)), y = layer.forward(x);
    EXPECT_EQ(y.shape, (last ? Shape{6, 4} : Shape{4, 6}));
    EXPECT_EQ(y.data, batched.data);
  }
}

BYTEGATE_ON_EVERY_BACKEND(Conv1dTest);

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Conv1dErrors, OptionsAndShapes) {
  const Tensor weight(Shape{4, 3, 2});
  const auto make = [&](Conv1dConfig c) {
    c.in_channels = c.in_channels ? c.in_channels : 3;
    c.out_channels = 4;
    c.kernel_size = 2;
    return [=] { Conv1d(c, weight.view(), {}); };
  };
  EXPECT_NE(error_of(make({.stride = 0})).find("stride is 0; 1 to 65536"), std::string::npos);
  EXPECT_NE(error_of(make({.padding = -1})).find("padding is -1; 0 to"), std::string::npos);
  EXPECT_NE(error_of(make({.dilation = 1 << 20})).find("dilation is 1048576"), std::string::npos);
  EXPECT_NE(error_of(make({.groups = 3})).find("groups is 3"), std::string::npos);
  EXPECT_NE(error_of(make({.padding = 1, .causal = true})).find("causal"), std::string::npos);
  EXPECT_NE(error_of(make({.in_channels = 2})).find("expected [4, 2, 2]"), std::string::npos);
  EXPECT_EQ(error_of(make({})), "no error");
  const Conv1d layer({.in_channels = 3, .out_channels = 4, .kernel_size = 2, .stride = 2, .causal = true},
                     weight.view(), {});
  EXPECT_NE(error_of([&] { layer.output_shape({1, 4, 9}); }).find("expected [batch, 3, time]"), std::string::npos);
  EXPECT_EQ(layer.output_shape({2, 3, 0}), (Shape{2, 4, 0}));
  EXPECT_EQ(layer.state_shapes({2, 3, 5}), (std::vector<Shape>{{2, 3, 1}}));
  Tensor x(Shape{1, 3, 3}), y(Shape{1, 4, 2});
  Workspace workspace;
  LayerState state = {Tensor(Shape{1, 3, 1})}, wrong = {Tensor(Shape{1, 3, 2})};
  EXPECT_NE(error_of([&] { layer.forward(x.view(), y.view(), workspace, &state); }).find("multiple of stride 2"),
            std::string::npos);
  EXPECT_NE(error_of([&] { layer.forward(x.view(), y.view(), workspace, &wrong); }).find("the state"),
            std::string::npos);
  const Conv1d wide({.in_channels = 3, .out_channels = 4, .kernel_size = 2, .dilation = 5}, weight.view(), {});
  EXPECT_NE(error_of([&] { wide.output_shape({1, 3, 5}); }).find("at least 6 steps"), std::string::npos);
  EXPECT_TRUE(wide.state_shapes({1, 3, 9}).empty());
}

TEST(Conv1dText, AsPyTorchPrintsIt) {
  const Tensor weight(Shape{4, 4, 2}), own(Shape{4, 1, 2}), bias(Shape{4});
  const Conv1d plain({.in_channels = 4, .out_channels = 4, .kernel_size = 2}, weight.view(), bias.view());
  EXPECT_EQ(to_string(plain), "Conv1d(4, 4, kernel_size=(2,), stride=(1,))");
  EXPECT_EQ(to_string(Conv1d::from_float(plain)), "DynamicQuantizedConv1d(4, 4, kernel_size=(2,), stride=(1,))");
  EXPECT_EQ(to_string(Conv1d({.in_channels = 4,
                              .out_channels = 4,
                              .kernel_size = 2,
                              .stride = 3,
                              .padding = 1,
                              .dilation = 2,
                              .groups = 4},
                             own.view(), {})),
            "Conv1d(4, 4, kernel_size=(2,), stride=(3,), padding=(1,), dilation=(2,), groups=4, bias=False)");
}

TEST(Conv1dText, SampleShapes) {
  const Tensor weight(Shape{4, 3, 2});
  for (const bool last : {true, false}) {
    const Conv1d layer({.in_channels = 3, .out_channels = 4, .kernel_size = 2, .channels_last = last}, weight.view(),
                       {});
    EXPECT_EQ(layer.sample_shape(2, 9), (last ? Shape{2, 9, 3} : Shape{2, 3, 9}));
    EXPECT_EQ(layer.input_size(), last ? 3 : -1);
  }
  EXPECT_EQ(ReLU().sample_shape(2, 9), Shape{});
}

// PyTorch's tensor of three dimensions shows the sizes; stride and padding must be stated.
TEST(Conv1dFiles, SizesFromTheTensors) {
  SafetensorsWriter writer;
  Random random(1);
  const Tensor weight = random_tensor({6, 1, 3}, random), bias = random_tensor({6}, random);
  writer.add("conv.weight", weight.shape.dims(), std::span<const float>(weight.data));
  writer.add("conv.bias", bias.shape.dims(), std::span<const float>(bias.data));
  const auto load = [&](const std::string& rest) {
    const std::string text = R"([{"name": "conv", "kind": "conv1d")" + rest + "}]";
    return to_string(
        *load_model(SafetensorsFile::parse(writer.bytes(), "m"), {.architecture = text}).layers()[0].layer);
  };
  EXPECT_EQ(load(R"(, "groups": 6, "padding": 1)"),
            "Conv1d(6, 6, kernel_size=(3,), stride=(1,), padding=(1,), groups=6)");
  EXPECT_EQ(load(""), "Conv1d(1, 6, kernel_size=(3,), stride=(1,))");
  EXPECT_NE(
      error_of([&] { load(R"(, "kernel_size": 2)"); }).find("shape [6, 1, 3]; the architecture asks for [6, 1, 2]"),
      std::string::npos);
  EXPECT_NE(error_of([&] { load(R"(, "padding_mode": "zeros")"); }).find("padding_mode"), std::string::npos);
}

}  // namespace
}  // namespace bytegate::testing
