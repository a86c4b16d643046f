// LoadOptions::num_threads and QuantizeOptions::num_threads: any number of threads makes the same layers, and reports
// the same error. Run under the tsan preset too.
#include <bytegate/model_file.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <mutex>
#include <new>
#include <string>

#include "tests/io_testing.h"
#include "tests/model_testing.h"

namespace bytegate::testing {
namespace {

constexpr int kThreadCounts[] = {1, 2, 3, 8, 256};

/// Layers of several kinds and sizes, more than there are threads in most cases.
Sequential sample_model() {
  Sequential model("Sample");
  model.add("embed", Embedding(random_tensor({40, 12}).view()));
  model.add("lstm", random_lstm({.input_size = 12, .hidden_size = 30, .num_layers = 2, .bidirectional = true}));
  model.add("act", ReLU());
  model.add("narrow", random_lstm({.input_size = 60, .hidden_size = 16, .proj_size = 8}));
  for (int i = 0; i < 9; ++i) {
    const std::int64_t in = i == 0 ? 8 : 40 + i - 1;
    model.add("fc" + std::to_string(i), random_linear(in, 40 + i, i % 2 == 0));
  }
  return model;
}

std::string saved(const Sequential& model) {
  const TemporaryFolder folder;
  save_model(model, folder / "a");
  return read_text(folder / "a");
}

TEST(LoadThreads, TheSameModel) {
  const TemporaryFolder folder;
  save_model(sample_model(), folder / "float");
  save_model(quantize_dynamic(sample_model(), quantize_options(Scheme::torch())), folder / "int8");
  const QuantizeOptions per_row, torch = quantize_options(Scheme::torch(), {"embedding", "lstm", "linear"}, {"fc3"});
  for (const char* name : {"float", "int8"}) {
    for (const QuantizeOptions* quantize : {static_cast<const QuantizeOptions*>(nullptr), &per_row, &torch}) {
      const Sequential one = load_model(folder / name, {.quantize = quantize});
      for (const int threads : kThreadCounts) {
        LoadReport report;
        const Sequential model =
            load_model(folder / name, {.quantize = quantize, .report = &report, .num_threads = threads});
        ASSERT_EQ(saved(model), saved(one)) << name << ", threads " << threads;
        EXPECT_EQ(run_model(model), run_model(one));
        EXPECT_EQ(report.tensor_prefixes.size(), one.layers().size());
      }
    }
  }
}

TEST(LoadThreads, TheSameStateDict) {
  const TemporaryFolder folder;
  save_model(sample_model(), folder / "model");
  const SafetensorsFile file = SafetensorsFile::load(folder / "model");
  const QuantizeOptions quantize;
  const StateDict one = load_state_dict(file, {.quantize = &quantize});
  save_state_dict(one, file, folder / "one");
  for (const int threads : kThreadCounts) {
    const StateDict many = load_state_dict(file, {.quantize = &quantize, .num_threads = threads});
    EXPECT_EQ(many.others, one.others);
    save_state_dict(many, file, folder / "many");
    EXPECT_EQ(read_text(folder / "many"), read_text(folder / "one")) << "threads " << threads;
  }
}

TEST(LoadThreads, QuantizingInMemory) {
  const Sequential floats = sample_model();
  QuantizeOptions options = quantize_options(Scheme::per_row(), {}, {"fc2"});
  const Sequential one = quantize_dynamic(floats, options);
  for (const int threads : kThreadCounts) {
    options.num_threads = threads;
    const Sequential many = quantize_dynamic(floats, options);
    EXPECT_EQ(saved(many), saved(one)) << "threads " << threads;
    EXPECT_EQ(many.layers()[6].layer, floats.layers()[6].layer) << "left out, so shared";
  }
}

/// A file whose layers 3, 5 and 8 cannot be quantized. The first of them finds that out last: in the last value of the
/// largest matrix.
std::filesystem::path write_bad_file(const TemporaryFolder& folder) {
  SafetensorsWriter writer;
  std::string architecture;
  for (std::int64_t i = 0; i < 12; ++i) {
    const std::string name = "fc" + std::to_string(i);
    const std::int64_t rows = i == 3 ? 4000 : 4, shape[] = {rows, 16};
    std::vector<float> values(static_cast<std::size_t>(rows * 16), 0.5f);
    if (i == 3 || i == 5 || i == 8) values.back() = std::numeric_limits<float>::infinity();
    writer.add(name + ".weight", shape, std::span<const float>(values));
    architecture += (i == 0 ? "[" : ",") + (R"({"kind":"linear","name":")" + name) + "\"}";
  }
  writer.set_metadata("architecture", architecture + "]");
  writer.save(folder / "bad");
  return folder / "bad";
}

TEST(LoadThreads, TheErrorIsThatOfTheFirstLayer) {
  const TemporaryFolder folder;
  const SafetensorsFile file = SafetensorsFile::load(write_bad_file(folder));
  QuantizeOptions quantize;
  const auto text_of = [&](const auto& call) {
    const std::optional<Error> error = error_of(call);
    return error ? std::string(error->what()) : "no error";
  };
  const auto load = [&](int threads) {
    return text_of([&] { load_model(file, {.quantize = &quantize, .num_threads = threads}); });
  };
  const auto quantized = [&](int threads) {
    quantize.num_threads = threads;
    return text_of([&] { quantize_dynamic(load_model(file), quantize); });
  };
  const std::string loading = load(1), quantizing = quantized(1);
  for (const std::string& text : {loading, quantizing}) {
    EXPECT_NE(text.find("fc3"), std::string::npos) << text;
    EXPECT_NE(text.find("element 63999"), std::string::npos) << text;
  }
  for (int run = 0; run < 20; ++run) {
    for (const int threads : kThreadCounts) {
      ASSERT_EQ(load(threads), loading) << "threads " << threads;
      ASSERT_EQ(quantized(threads), quantizing) << "threads " << threads;
    }
  }
}

TEST(LoadThreads, RefusesImpossibleCounts) {
  const TemporaryFolder folder;
  save_model(sample_model(), folder / "a");
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  for (const int threads : {0, -1, 257, std::numeric_limits<int>::min()}) {
    const std::vector<std::string> parts = {"num_threads is " + std::to_string(threads), "1 to 256"};
    expect_error(ErrorCode::invalid_argument, parts, [&] { load_model(file, {.num_threads = threads}); });
    expect_error(ErrorCode::invalid_argument, parts, [&] { load_state_dict(file, {.num_threads = threads}); });
    QuantizeOptions options;
    options.num_threads = threads;
    expect_error(ErrorCode::invalid_argument, parts, [&] { quantize_dynamic(sample_model(), options); });
    expect_error(ErrorCode::invalid_argument, parts, [&] { quantize_dynamic(Sequential(), options); });
  }
}

/// Where a number of threads wait until all have come.
class MeetingPoint {
 public:
  explicit MeetingPoint(int wanted) : wanted_(wanted) {}
  bool meet() {
    std::unique_lock lock(mutex_);
    ++come_;
    all_.notify_all();
    return all_.wait_for(lock, std::chrono::minutes(1), [&] { return come_ >= wanted_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  const int wanted_;
  int come_ = 0;
};

/// A user's own layer, whose quantization does something else.
class OwnLayer final : public Layer {
 public:
  explicit OwnLayer(std::function<void()> quantizing) : quantizing_(std::move(quantizing)) {}
  Shape output_shape(const Shape& x) const override { return x; }
  void describe(LayerVisitor& visitor) const override { visitor.begin("own", "Own"); }
  LayerPtr quantize_dynamic(const Scheme&, const Backend*) const override {
    quantizing_();
    return nullptr;
  }

 private:
  std::function<void()> quantizing_;
};

TEST(LoadThreads, LayersAreMadeAtTheSameTime) {
  constexpr int kThreads = 4;
  MeetingPoint point(kThreads);
  Sequential model;
  for (int i = 0; i < kThreads; ++i)
    model.add(std::to_string(i), OwnLayer([&] { EXPECT_TRUE(point.meet()) << "the others do not run"; }));
  QuantizeOptions options;
  options.num_threads = kThreads;
  quantize_dynamic(model, options);
}

// What is no Error crosses the threads too.
TEST(LoadThreads, OtherExceptions) {
  Sequential model;
  for (int i = 0; i < 8; ++i)
    model.add(std::to_string(i), OwnLayer([i] {
                if (i == 2) throw std::bad_alloc();
                if (i > 2) throw i;
              }));
  QuantizeOptions options;
  for (const int threads : kThreadCounts) {
    options.num_threads = threads;
    EXPECT_THROW(quantize_dynamic(model, options), std::bad_alloc) << "threads " << threads;
  }
}

}  // namespace
}  // namespace bytegate::testing
