// Which products are told that their weights come from memory: those of layers, or models, with more of them than
// caches hold.
#include <bytegate/model.h>
#include <gtest/gtest.h>

#include "tests/support/backends.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

std::vector<std::uint32_t> told;  ///< GemmArgs::from_memory and RecurrentStepArgs::from_memory, call after call

void record_gemm(const GemmArgs* args) {
  told.push_back(args->from_memory);
  for (std::size_t m = 0; m < args->lhs.rows; ++m) std::fill_n(args->out + m * args->out_stride, args->n_out, 0.5f);
}

template <Cell cell>
void record_step(const RecurrentStepArgs* args) {
  told.push_back(args->from_memory);
  scalar_backend().kernels->int8->recurrent_step[static_cast<std::size_t>(cell)](args);
}

/// The plain kernels, but for those that record what they are told.
const Backend& recorder() {
  static const Kernels int8 = [] {
    Kernels kernels = *scalar_backend().kernels->int8;
    kernels.gemm = record_gemm;
    kernels.recurrent_step[static_cast<std::size_t>(Cell::lstm)] = record_step<Cell::lstm>;
    return kernels;
  }();
  static const BackendKernels kernels = [] {
    BackendKernels all = *scalar_backend().kernels;
    all.int8 = &int8;
    return all;
  }();
  static const Backend backend{.priority = 0,
                               .name = "recorder",
                               .description = "records",
                               .required = 0,
                               .unmet = nullptr,
                               .kernels = &kernels};
  static const bool registered = [] {
    register_backend(&backend);
    return true;
  }();
  EXPECT_TRUE(registered);
  return backend;
}

Linear linear(std::int64_t k, std::int64_t n) {
  const auto count = static_cast<std::size_t>(n);
  QuantizedWeight weight{n, k, std::vector<std::int8_t>(count * static_cast<std::size_t>(k), 1),
                         std::vector<float>(count, 0.01f)};
  return {std::move(weight), {}, Scheme::per_row(), false, &recorder()};
}

/// Of one layer: 4 * hidden * (input + hidden) weights.
LSTM lstm(std::int64_t layers, std::int64_t hidden) {
  LSTMConfig config;
  config.input_size = config.hidden_size = hidden;
  config.num_layers = layers;
  Random random(1);
  LstmCase c;
  c.config = config;
  fill(c, random);
  return LSTM::from_float(LSTM(config, to_cells(c.cells), &recorder()), Scheme::per_row());
}

template <class Model>
std::vector<std::uint32_t> told_of(const Model& model, const Shape& shape, Workspace& workspace) {
  const Tensor x(shape);
  Tensor y(model.output_shape(shape));
  told.clear();
  if constexpr (std::is_same_v<Model, LSTM>) {
    model.forward(x.view(), y.view(), {}, workspace);
  } else {
    model.forward(x.view(), y.view(), workspace);
  }
  return told;
}

using Told = std::vector<std::uint32_t>;

TEST(FromMemory, OneLayer) {
  Workspace workspace;
  EXPECT_EQ(told_of(linear(256, 256), {1, 256}, workspace), Told{0});
  EXPECT_EQ(told_of(linear(2000, 3000), {1, 2000}, workspace), Told{0});
  EXPECT_EQ(told_of(linear(2100, 3100), {1, 2100}, workspace), Told{1});
}

// Of several steps a layer reads its recurrent weights again and again, and those of one step once.
TEST(FromMemory, LayersOfAnLstm) {
  Workspace workspace;
  const LSTM small = lstm(3, 200), large = lstm(5, 400);  // 0.96 MB and 6.4 MB
  EXPECT_EQ(told_of(small, {1, 1, 200}, workspace), Told(6, 0));
  EXPECT_EQ(told_of(large, {1, 1, 400}, workspace), Told(10, 1));
  EXPECT_EQ(told_of(large, {2, 1, 400}, workspace), Told(15, 0));
  EXPECT_EQ(told_of(lstm(1, 1300), {2, 1, 1300}, workspace), Told(3, 1)) << "6.8 MB each step";
}

TEST(FromMemory, LayersOfAModel) {
  Sequential model;
  model.add("first", linear(64, 2100));
  model.add("second", linear(2100, 3100));
  model.add("third", linear(3100, 8));
  for (const int threads : {1, 2}) {
    Workspace workspace(threads);
    const Told calls = told_of(model, {1, 64}, workspace);
    EXPECT_GE(calls.size(), 3u);
    EXPECT_EQ(calls, Told(calls.size(), 1));
    EXPECT_EQ(told_of(linear(64, 64), {1, 64}, workspace), Told{0}) << "after a model";
  }
}

// Of an embedding a call reads some rows.
TEST(FromMemory, EmbeddingsDoNotCount) {
  Sequential model;
  model.add("embedding", Embedding(Tensor(Shape{100000, 64})));
  model.add("linear", linear(64, 64));
  Workspace workspace;
  const std::int64_t index = 7;
  Tensor y(Shape{1, 64});
  told.clear();
  model.forward(IndexView{&index, {1}}, y.view(), workspace);
  EXPECT_EQ(told, Told{0});
}

}  // namespace
}  // namespace bytegate::testing
