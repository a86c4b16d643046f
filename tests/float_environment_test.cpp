// The bits of every forward do not depend on the caller's floating-point environment, and it is left as it was.
#include <bytegate/model_file.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/float_control.h"
#include "tests/support/lstm_runs.h"

namespace bytegate::testing {
namespace {

class FloatEnvironmentTest : public BackendTest {};

/// Values from 1e-42 to 1, so that subnormal numbers are among the inputs and the results.
Tensor odd_tensor(const Shape& shape, Random& random) {
  Tensor tensor = random_tensor(shape, random);
  for (float& v : tensor.data) {
    if (random.chance(40)) v *= 1e-38f;
    if (random.chance(10)) v *= 1e-4f;
  }
  return tensor;
}

TEST_P(FloatEnvironmentTest, KeepsSubnormalNumbers) {
  const Tensor weight(Shape{1, 1}, {1e-20f}), x(Shape{1, 1}, {1e-20f});
  const Linear layer(weight.view(), {}, false, &backend());
  const Tensor y = run_under(kFlush, [&] { return layer.forward(x); });
  EXPECT_EQ(y.data[0], 1e-40f);
  const Control usual = read_control();
  volatile float small = 1e-20f;
  write_control(usual | kFlush);
  const float flushed = small * small;
  write_control(usual);
  EXPECT_EQ(flushed, 0.0f) << "this test does not flush";
}

TEST_P(FloatEnvironmentTest, LinearLstmAndModel) {
  Random random(2);
  const LSTMConfig config{.input_size = 9, .hidden_size = 21, .num_layers = 2, .bidirectional = true, .proj_size = 7};
  Sequential model;
  model.add("in", Linear(odd_tensor({9, 13}, random).view(), odd_tensor({9}, random).view(), true, &backend()));
  model.add("lstm", LSTM(config, to_cells(random_cells(config, random)), &backend()));
  model.add("out", Linear(odd_tensor({5, 14}, random).view(), odd_tensor({5}, random).view(), false, &backend()));
  const Tensor x = odd_tensor({6, 3, 13}, random);
  const auto check = [&](const Sequential& m, const std::string& what) {
    const Tensor expected = m.forward(x);
    for (const Control bits : environments()) {
      EXPECT_EQ(first_difference(run_under(bits, [&] { return m.forward(x); }), expected), "") << what << ' ' << bits;
    }
  };
  check(model, "float");
  for (const Scheme& scheme : {Scheme::per_row(), Scheme::torch(), Scheme::torch(true, 7)}) {
    const QuantizeOptions options{.scheme = scheme};
    const Sequential quantized = quantize_dynamic(model, options);
    check(quantized, to_string(scheme));
    for (const Control bits : environments()) {  // quantizing, too
      const Sequential other = run_under(bits, [&] { return quantize_dynamic(model, options); });
      EXPECT_EQ(first_difference(other.forward(x), quantized.forward(x)), "") << to_string(scheme) << ' ' << bits;
    }
  }
}

// A layer without weights sets its environment too: a subnormal input stays what it is.
TEST_P(FloatEnvironmentTest, ReluAlone) {
  const Tensor x(Shape{2, 2}, {1e-40f, -1e-40f, 1.0f, -2.0f}), expected(Shape{2, 2}, {1e-40f, 0, 1, 0});
  Sequential model;
  model.add("relu", ReLU());
  for (const Control bits : environments()) {
    Tensor y(Shape{2, 2}), z(Shape{2, 2});
    Workspace workspace;
    run_under(bits, [&] {
      ReLU().forward(x.view(), y.view());
      model.forward(x.view(), z.view(), workspace);
      return 0;
    });
    EXPECT_EQ(first_difference(y, expected), "") << bits;
    EXPECT_EQ(first_difference(z, expected), "") << bits;
  }
}

/// A lone Linear of one column, stored as that type.
template <class T>
SafetensorsFile linear_file(const char* dtype, const std::vector<T>& values) {
  SafetensorsWriter writer;
  writer.add("fc.weight", dtype, Shape{static_cast<std::int64_t>(values.size()), 1}.dims(),
             std::as_bytes(std::span(values)));
  return SafetensorsFile::parse(writer.bytes(), "model.safetensors");
}

// Floats of other types are converted while a model is read, in the caller's thread.
TEST_P(FloatEnvironmentTest, LoadingF64AndF16) {
  std::vector<double> doubles;
  Random random(5);
  for (int i = 0; i < 500; ++i) {  // between two floats; also below FLT_MIN, and below half of the smallest float
    const double sign = random.chance(50) ? -1 : 1, value = 1 + static_cast<double>(random.next() >> 12) * 0x1p-52;
    doubles.push_back(std::ldexp(sign * value, static_cast<int>(random.integer(-152, 127))));
  }
  std::vector<std::uint16_t> halves;
  for (std::uint16_t i = 0; i < 0x7c00; i = static_cast<std::uint16_t>(i + (i < 0x500 ? 1 : 97))) halves.push_back(i);
  const QuantizeOptions quantize{.backend = &backend()};
  for (const SafetensorsFile& file : {linear_file("F64", doubles), linear_file("F16", halves)}) {
    for (const QuantizeOptions* options : {static_cast<const QuantizeOptions*>(nullptr), &quantize}) {
      const auto load = [&] {
        const Sequential model = load_model(file, {.backend = &backend(), .quantize = options});
        return std::make_shared<const Weight>(as<Linear>(model.layers()[0].layer).weight());
      };
      const auto expected = load();
      for (const Control bits : environments()) {
        const auto found = run_under(bits, load);
        if (options) {
          EXPECT_EQ(found->int8s().data, expected->int8s().data) << bits;
          EXPECT_EQ(found->scales(), expected->scales()) << bits;
        } else {
          EXPECT_EQ(first_difference(found->floats(), expected->floats()), "") << bits;
        }
      }
    }
  }
}

// Worker threads: those of a workspace that was made in another environment than the call.
TEST_P(FloatEnvironmentTest, WorkerThreads) {
  Random random(3);
  const LSTMConfig config{.input_size = 64, .hidden_size = 300};
  const LSTM floats(config, to_cells(random_cells(config, random)), &backend());
  const LSTM lstm = LSTM::from_float(floats);
  const Linear linear(random_tensor({512, 512}, random).view(), {}, false, &backend());
  const Tensor x = random_tensor({40, 1, 64}, random), rows = random_tensor({64, 512}, random, 1e-38f);
  Tensor y(Shape{40, 1, 300}), z(Shape{64, 512});
  for (const Control bits : environments()) {
    run_under(bits, [&] {
      Workspace workspace(3);
      lstm.forward(x.view(), y.view(), {}, workspace);
      linear.forward(rows.view(), z.view(), workspace);
      return 0;
    });
    EXPECT_EQ(first_difference(y, lstm.forward(x).output), "") << bits;
    EXPECT_EQ(first_difference(z, linear.forward(rows)), "") << bits;
  }
}

TEST_P(FloatEnvironmentTest, EmbeddingAndTraps) {
  Random random(4);
  const Embedding embedding = Embedding::from_float(Embedding(odd_tensor({8, 5}, random).view()));
  const std::int64_t indices[] = {0, 7, 3};
  Tensor expected(Shape{3, 5}), y(Shape{3, 5});
  embedding.forward({indices, Shape{3}}, expected.view());
  for (const Control bits : environments()) {
    run_under(bits, [&] {
      embedding.forward({indices, Shape{3}}, y.view());
      return 0;
    });
    EXPECT_EQ(first_difference(y, expected), "") << bits;
  }
#if defined(__x86_64__)
  // A caller that traps inexact results must not be stopped by ours.
  const Linear layer(random_tensor({9, 9}, random).view(), {}, false, &backend());
  const Tensor x = random_tensor({2, 9}, random), usual = layer.forward(x);
  Tensor trapped(Shape{2, 9});
  Workspace workspace;
  const Control control = read_control();
  write_control(0x0f80);  // the inexact exception (bit 12) is not masked
  layer.forward(x.view(), trapped.view(), workspace);
  write_control(control);
  EXPECT_EQ(first_difference(trapped, usual), "");
#endif
}

BYTEGATE_ON_EVERY_BACKEND(FloatEnvironmentTest);

}  // namespace
}  // namespace bytegate::testing
