// The values of layers without products, against double precision, and their options.
#include <bytegate/model_file.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <functional>

#include "layers/core/functions.h"
#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

double ulps(float ours, double expected) {
  const double size = std::max(std::fabs(expected), static_cast<double>(FLT_MIN));
  return std::fabs(ours - expected) / (std::ldexp(1.0, std::ilogb(size)) * FLT_EPSILON);
}

TEST(Functions, ExpAndItsLessOne) {
  double worst = 0, worst_less_1 = 0;
  for (double x = -103; x < 88.7; x += 0.00137) {
    const auto v = static_cast<float>(x);
    worst = std::max(worst, ulps(detail::exp(v), std::exp(static_cast<double>(v))));
    if (v > 0) continue;
    const double expected = std::expm1(static_cast<double>(v));
    worst_less_1 = std::max(worst_less_1, std::fabs(detail::exp_minus_1(v) - expected) / std::fabs(expected));
  }
  EXPECT_LT(worst, 1.5);
  EXPECT_LT(worst_less_1, 2e-7);
  EXPECT_EQ(detail::exp(0.0f), 1.0f);
  EXPECT_EQ(detail::exp(-kInf), 0.0f);
  EXPECT_EQ(detail::exp(-200.0f), 0.0f);
  EXPECT_EQ(detail::exp(kInf), kInf);
  EXPECT_EQ(detail::exp(89.0f), kInf);
  EXPECT_TRUE(std::isnan(detail::exp(NAN)) && std::isnan(detail::exp_minus_1(-NAN)));
  EXPECT_EQ(detail::exp_minus_1(-kInf), -1.0f);
  EXPECT_EQ(detail::exp_minus_1(1e-38f * -1e-5f), 1e-38f * -1e-5f);
}

TEST(Functions, Log) {
  for (double x = 1e-300; x < 1e300; x *= 1.137) {
    const double expected = std::log(x);
    EXPECT_NEAR(detail::log(x), expected, 2e-15 * std::max(1.0, std::fabs(expected)));
  }
  EXPECT_EQ(detail::log(1.0), 0.0);
  EXPECT_TRUE(std::isnan(detail::log(std::nan(""))));
  EXPECT_EQ(detail::log(HUGE_VAL), HUGE_VAL);
}

Tensor values(const Elementwise& layer, std::vector<float> x) {
  const Shape shape{static_cast<std::int64_t>(x.size())};
  Tensor y(shape, std::move(x));
  layer.forward(y.view(), y.view());  // in place
  return y;
}

TEST(Activations, LeakyReluAndElu) {
  const std::vector<float> x = {-2.0f, -0.5f, -1e-8f, -0.0f, 0.0f, 3.0f, kInf, -kInf};
  const Tensor leaky = values(LeakyReLU(0.25), x), elu = values(ELU(2.0), x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) continue;
    EXPECT_EQ(leaky.data[i], x[i] > 0 ? x[i] : 0.25f * x[i]);
    const double expected = x[i] > 0 ? static_cast<double>(x[i]) : 2.0 * std::expm1(static_cast<double>(x[i]));
    EXPECT_NEAR(elu.data[i], expected, 2e-7 * std::fabs(expected));
  }
  EXPECT_EQ(leaky.data[7], -kInf);
  EXPECT_EQ(elu.data[6], kInf);
  EXPECT_EQ(elu.data[7], -2.0f);
  EXPECT_TRUE(std::isnan(values(ELU(), {NAN}).data[0]) && std::isnan(values(LeakyReLU(), {NAN}).data[0]));
  EXPECT_THROW(ELU(static_cast<double>(kInf)), Error);
  EXPECT_THROW(LeakyReLU(std::nan("")), Error);
  EXPECT_EQ(to_string(ELU()), "ELU(alpha=1.0)");
  EXPECT_EQ(to_string(LeakyReLU(0.01)), "LeakyReLU(negative_slope=0.01)");
  EXPECT_EQ(to_string(Softmax()), "Softmax(dim=-1)");
}

TEST(Softmaxes, AgainstDouble) {
  Random random(3);
  for (const std::int64_t n : {1, 2, 7, 8, 9, 63, 1000}) {
    for (const float size : {0.1f, 5.0f, 500.0f}) {
      const Tensor x = random_tensor({3, n}, random, size);
      Tensor y(x.shape), logs(x.shape);
      Softmax().forward(x.view(), y.view());
      LogSoftmax().forward(x.view(), logs.view());
      for (std::size_t row = 0; row < 3; ++row) {
        const auto width = static_cast<std::size_t>(n), at = row * width;
        double max = -HUGE_VAL, sum = 0;
        for (std::size_t i = 0; i < width; ++i) max = std::max(max, static_cast<double>(x.data[at + i]));
        for (std::size_t i = 0; i < width; ++i) sum += std::exp(x.data[at + i] - max);
        for (std::size_t i = 0; i < width; ++i) {
          EXPECT_NEAR(y.data[at + i], std::exp(x.data[at + i] - max) / sum, 3e-7);
          const double log = x.data[at + i] - max - std::log(sum);
          EXPECT_NEAR(logs.data[at + i], log, 3e-7 * std::max(1.0, std::fabs(log)));
        }
      }
    }
  }
}

// As PyTorch: NaN and +infinity make the row NaN, -infinity has no part, and a row of it alone is NaN.
TEST(Softmaxes, NanAndInfinity) {
  const Tensor x(Shape{5, 3}, {1, NAN, 2, 1, kInf, 2, 1, -kInf, 1, -kInf, -kInf, -kInf, 3, 3, 3});
  Tensor y(x.shape), logs(x.shape);
  Softmax().forward(x.view(), y.view());
  LogSoftmax().forward(x.view(), logs.view());
  for (const std::size_t row : {0u, 1u, 3u}) {
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(std::isnan(y.data[3 * row + i]) && std::isnan(logs.data[3 * row + i])) << row;
  }
  EXPECT_EQ(std::vector<float>(y.data.begin() + 6, y.data.begin() + 9), (std::vector<float>{0.5f, 0, 0.5f}));
  EXPECT_EQ(logs.data[7], -kInf);
  EXPECT_EQ(y.data[12], 1.0f / 3);
  EXPECT_THROW(Softmax().output_shape(Shape{}), Error);
}

TEST(LayerNorms, AgainstDouble) {
  Random random(4);
  for (const std::int64_t n : {1, 2, 8, 15, 64, 4099}) {
    for (const float offset : {0.0f, 100.0f}) {
      const Tensor weight = random_tensor({n}, random), bias = random_tensor({n}, random);
      Tensor x = random_tensor({2, n}, random), y(x.shape);
      for (float& v : x.data) v += offset;
      LayerNorm(n, weight.view(), bias.view(), 1e-3).forward(x.view(), y.view());
      const auto width = static_cast<std::size_t>(n);
      for (std::size_t at = 0; at < x.data.size(); at += width) {
        double mean = 0, var = 0;
        for (std::size_t i = 0; i < width; ++i) mean += x.data[at + i] / static_cast<double>(n);
        for (std::size_t i = 0; i < width; ++i) var += std::pow(x.data[at + i] - mean, 2) / static_cast<double>(n);
        for (std::size_t i = 0; i < width; ++i) {
          const double expected = (x.data[at + i] - mean) / std::sqrt(var + 1e-3) * weight.data[i] + bias.data[i];
          EXPECT_NEAR(y.data[at + i], expected, offset == 0 ? 1e-6 : 2e-5);
        }
      }
    }
  }
}

TEST(LayerNorms, OddRowsAndOptions) {
  const Tensor x(Shape{5, 2}, {1, NAN, kInf, 1, 3e38f, -3e38f, 7, 7, -kInf, kInf});
  Tensor y(x.shape);
  const LayerNorm plain(2, {}, {});
  plain.forward(x.view(), y.view());
  for (const std::size_t i : {0u, 1u, 2u, 3u, 8u, 9u}) EXPECT_TRUE(std::isnan(y.data[i])) << i;
  EXPECT_EQ(std::vector<float>(y.data.begin() + 4, y.data.begin() + 8), (std::vector<float>{1, -1, 0, 0}));
  const Tensor two(Shape{2}, {1, 2});
  EXPECT_EQ(to_string(plain), "LayerNorm((2,), eps=1e-05, elementwise_affine=False)");
  EXPECT_EQ(to_string(LayerNorm(2, two.view(), {})), "LayerNorm((2,), eps=1e-05, elementwise_affine=True, bias=False)");
  EXPECT_THROW(LayerNorm(0, {}, {}), Error);
  EXPECT_THROW(LayerNorm(2, {}, two.view()), Error);
  EXPECT_THROW(LayerNorm(3, two.view(), {}), Error);
  EXPECT_THROW(LayerNorm(2, {}, {}, -1), Error);
  EXPECT_THROW(LayerNorm(2, {}, {}, std::nan("")), Error);
  EXPECT_THROW(plain.output_shape(Shape{3}), Error);
}

/// 0, 1, 2, ...
Tensor counting(const Shape& shape) {
  Tensor x(shape);
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(i);
  return x;
}

template <class L, class... Arguments>
Tensor outputs(const L& layer, const Tensor& x, const Arguments&... arguments) {
  Tensor y(layer.output_shape(x.shape));
  layer.forward(x.view(), y.view(), arguments...);
  return y;
}

TEST(LastSteps, OfEverySequence) {
  const Tensor x = counting({3, 2, 2}), row = counting({4});
  EXPECT_EQ(outputs(LastStep(), x).data, (std::vector<float>{8, 9, 10, 11}));
  EXPECT_EQ(outputs(LastStep(true), x).data, (std::vector<float>{2, 3, 6, 7, 10, 11}));
  EXPECT_EQ(outputs(LastStep(), row).data, (std::vector<float>{3}));
  EXPECT_EQ(outputs(LastStep(), row).shape, Shape{});
  const std::int64_t two[] = {1, 3}, three[] = {2, 1, 2}, wrong[] = {0, 1}, long_one[] = {4, 1};
  EXPECT_EQ(outputs(LastStep(), x, std::span(two)).data, (std::vector<float>{0, 1, 10, 11}));
  EXPECT_EQ(outputs(LastStep(true), x, std::span(three)).data, (std::vector<float>{2, 3, 4, 5, 10, 11}));
  for (const auto& lengths : {wrong, long_one}) EXPECT_THROW(outputs(LastStep(), x, std::span(lengths, 2)), Error);
  EXPECT_THROW(outputs(LastStep(), x, std::span(three)), Error);
  EXPECT_THROW(outputs(LastStep(), row, std::span(two).first(1)), Error);
  EXPECT_THROW(LastStep().output_shape(Shape{0, 2, 2}), Error);
  EXPECT_THROW(LastStep(true).output_shape(Shape{2}), Error);
  EXPECT_EQ(to_string(LastStep(true)), "LastStep(batch_first=True)");
}

TEST(Permutes, EveryOrderOfThree) {
  std::vector<std::int64_t> dims = {0, 1, 2};
  const Tensor x = counting({2, 33, 20});
  do {
    const Tensor y = outputs(Permute(dims), x);
    std::int64_t at[3];
    for (at[0] = 0; at[0] < 2; ++at[0]) {
      for (at[1] = 0; at[1] < 33; ++at[1]) {
        for (at[2] = 0; at[2] < 20; ++at[2]) {
          const auto p = [&](int i) { return at[dims[static_cast<std::size_t>(i)]]; };
          const std::int64_t to = (p(0) * y.shape[1] + p(1)) * y.shape[2] + p(2),
                             from = (at[0] * 33 + at[1]) * 20 + at[2];
          ASSERT_EQ(y.data[static_cast<std::size_t>(to)], x.data[static_cast<std::size_t>(from)]);
        }
      }
    }
  } while (std::next_permutation(dims.begin(), dims.end()));
  EXPECT_EQ(outputs(Permute({0}), counting({5})).data, counting({5}).data);
  EXPECT_EQ(to_string(Permute({0, 2, 1})), "Permute(dims=[0, 2, 1])");
  for (const std::vector<std::int64_t>& wrong :
       std::vector<std::vector<std::int64_t>>{{}, {1}, {0, 0}, {0, 2}, {-1, 0}})
    EXPECT_THROW(Permute{wrong}, Error);
  EXPECT_THROW(Permute({0, 2, 1}).output_shape(Shape{2, 3}), Error);
}

/// BatchNorm1d in double, y [rows, channels].
void expect_normalized(const Tensor& y, const Tensor& before, const BatchNorm1d& norm) {
  const auto channels = static_cast<std::size_t>(before.shape.back());
  for (std::size_t i = 0; i < y.data.size(); ++i) {
    const std::size_t c = i % channels;
    const double expected = (static_cast<double>(before.data[i]) - norm.running_mean.data[c]) /
                                std::sqrt(norm.running_var.data[c] + norm.eps) * norm.weight.data[c] +
                            norm.bias.data[c];
    EXPECT_NEAR(y.data[i], expected, 1e-5);
  }
}

BatchNorm1d random_norm(std::int64_t channels, Random& random) {
  BatchNorm1d norm{random_tensor({channels}, random), random_tensor({channels}, random),
                   random_tensor({channels}, random), random_tensor({channels}, random), 1e-3};
  for (float& v : norm.running_var.data) v = v * v + 0.1f;
  return norm;
}

TEST(BatchNorms, FoldedByAFunction) {
  Random random(6);
  const BatchNorm1d norm = random_norm(7, random);
  const Tensor weight = random_tensor({7, 5}, random), bias = random_tensor({7}, random),
               x = random_tensor({4, 5}, random);
  for (const bool has_bias : {true, false}) {
    const Linear linear(weight.view(), has_bias ? bias.view() : ConstTensorView{});
    expect_normalized(fold_batch_norm(linear, norm).forward(x), linear.forward(x), norm);
  }
  const Tensor kernel = random_tensor({7, 5, 3}, random), series = random_tensor({2, 9, 5}, random);
  const Conv1d conv({.in_channels = 5, .out_channels = 7, .kernel_size = 3, .channels_last = true}, kernel.view(), {});
  expect_normalized(fold_batch_norm(conv, norm).forward(series), conv.forward(series), norm);
  EXPECT_THROW(fold_batch_norm(Linear(weight.view(), {}, true), norm), Error);
  EXPECT_THROW(fold_batch_norm(Linear::from_float(Linear(weight.view(), {})), norm), Error);
  EXPECT_THROW(fold_batch_norm(Linear(weight.view(), {}), random_norm(6, random)), Error);
  BatchNorm1d wrong = norm;
  wrong.running_var.data[3] = -1;
  EXPECT_THROW(wrong.affine(), Error);
}

SafetensorsFile norm_file(const BatchNorm1d& norm, const Tensor& weight) {
  SafetensorsWriter writer;
  const auto add = [&](const std::string& name, const Tensor& t) {
    writer.add(name, t.shape.dims(), std::span<const float>(t.data));
  };
  add("fc.weight", weight);
  add("bn.running_mean", norm.running_mean);
  add("bn.running_var", norm.running_var);
  add("bn.weight", norm.weight);
  add("bn.bias", norm.bias);
  const std::int64_t count = 3;
  writer.add("bn.num_batches_tracked", "I64", Shape{}.dims(), std::as_bytes(std::span(&count, 1)));
  return SafetensorsFile::parse(writer.bytes(), "m");
}

TEST(BatchNorms, FoldedWhileAFileIsRead) {
  Random random(7);
  const BatchNorm1d norm = random_norm(7, random);
  const Tensor weight = random_tensor({7, 5}, random), x = random_tensor({4, 5}, random);
  const SafetensorsFile file = norm_file(norm, weight);
  const auto load_as = [&](const std::string& text, const QuantizeOptions* quantize = nullptr) {
    return load_model(file, {.architecture = text, .quantize = quantize});
  };
  const std::string text =
      R"([{"name": "fc", "kind": "linear", "bias": false}, {"name": "drop", "kind": "dropout"},
          {"name": "bn", "kind": "batch_norm1d", "eps": 0.001, "momentum": 0.1}, {"name": "act", "kind": "relu"}])";
  const Linear expected = fold_batch_norm(Linear(weight.view(), {}), norm);
  const Sequential model = load_as(text);
  EXPECT_EQ(to_string(model),
            "Sequential(\n  (fc): Linear(in_features=5, out_features=7, bias=True)\n  (act): ReLU()\n)");
  Tensor y = expected.forward(x);
  ReLU().forward(y.view(), y.view());
  EXPECT_EQ(first_difference(model.forward(x), y), "");
  const QuantizeOptions quantize;
  EXPECT_EQ(first_difference(load_as(text, &quantize).forward(x), quantize_dynamic(model).forward(x)), "");
  const auto error = [&](const std::string& layers) {
    try {
      load_as(layers);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(
      error(R"([{"name": "fc", "kind": "linear"}, {"name": "act", "kind": "relu"},
                      {"name": "bn", "kind": "batch_norm1d"}])")
          .find("\"bn\", a BatchNorm1d, follows \"act\", a ReLU; it can only be folded into a Linear or a Conv1d"),
      std::string::npos);
  EXPECT_NE(error(R"([{"name": "bn", "kind": "batch_norm1d"}, {"name": "fc", "kind": "linear"}])").find("first layer"),
            std::string::npos);
  EXPECT_NE(error(R"([{"name": "fc", "kind": "linear", "relu": true}, {"name": "bn", "kind": "batch_norm1d"}])")
                .find("has a relu"),
            std::string::npos);
  EXPECT_NE(error(R"([{"name": "fc", "kind": "linear"}, {"name": "bn", "kind": "batch_norm1d", "num_features": 6}])")
                .find("asks for [6]"),
            std::string::npos);
  EXPECT_NE(error(R"([{"name": "fc", "kind": "linear"}, {"name": "bn", "kind": "batch_norm1d", "dim": 6}])")
                .find("unknown key"),
            std::string::npos);
}

Sequential load(const std::string& architecture) {
  SafetensorsWriter writer;
  writer.set_metadata("architecture", architecture);
  return load_model(SafetensorsFile::parse(writer.bytes(), "m"));
}

std::string load_error(const std::string& architecture) {
  try {
    load(architecture);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Options, FromArchitectures) {
  EXPECT_EQ(to_string(load(R"([{"name": "a", "kind": "elu", "alpha": 5e-1, "inplace": true},
                              {"name": "b", "kind": "leaky_relu", "negative_slope": 1},
                              {"name": "c", "kind": "softmax", "dim": -1}])")),
            "Sequential(\n  (a): ELU(alpha=0.5)\n  (b): LeakyReLU(negative_slope=1.0)\n  (c): Softmax(dim=-1)\n)");
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "softmax", "dim": 1}])").find("dim 1.0; -1, the last"),
            std::string::npos);
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "elu", "alpha": "1"}])").find("alpha \"1\"; it must be a finite"),
            std::string::npos);
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "elu", "alpha": 1e999}])"), "");
  EXPECT_EQ(to_string(load(R"([{"name": "a", "kind": "permute", "dims": [1, 0]}])")),
            "Sequential(\n  (a): Permute(dims=[1, 0])\n)");
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "permute"}])").find("has no dims"), std::string::npos);
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "permute", "dims": [0, "1"]}])").find("a list of integers"),
            std::string::npos);
  EXPECT_NE(load_error(R"([{"name": "a", "kind": "tanh", "alpha": 1}])").find("unknown key"), std::string::npos);
}

}  // namespace
}  // namespace bytegate::testing
