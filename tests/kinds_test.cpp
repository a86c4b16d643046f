// What holds for every kind of layer, on every backend: the same bits, items of a batch apart from each other, NaN in
// one of them, empty batches, wrong shapes, threads, fork, the caller's floating-point environment, files, and
// activations that are fused.
#include <bytegate/model_file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "tests/support/backend_test.h"
#include "tests/support/compare.h"
#include "tests/support/float_control.h"
#include "tests/support/sample_layers.h"

namespace bytegate::testing {
namespace {

class KindsTest : public BackendTest {
 protected:
  /// Calls f(form of the layer, sample) for every form of every sample.
  template <class F>
  void for_each_form(const F& f) const {
    for (const SampleLayer& sample : sample_layers(backend())) {
      for (const NamedForm& form : forms_of(sample)) {
        SCOPED_TRACE(form.name);
        f(form, sample);
      }
    }
  }
};

TEST(KindsSamples, HaveEveryKind) {
  std::set<std::string> kinds;
  for (const SampleLayer& sample : sample_layers(scalar_backend()))
    kinds.insert(sample.name.substr(0, sample.name.find(' ')));
  for (const LayerKind& kind : layer_kinds()) {
    EXPECT_TRUE(!kind.make || kinds.count(std::string(kind.name)) != 0) << kind.name;
  }
}

TEST_P(KindsTest, BitsAsScalar) {
  const std::vector<SampleLayer> ours = sample_layers(backend()), scalar = sample_layers(scalar_backend());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (size() == 0 && ours[i].large) continue;
    const std::vector<NamedForm> forms = forms_of(ours[i]), expected = forms_of(scalar[i]);
    for (std::size_t j = 0; j < forms.size(); ++j) {
      Tensor x = sample_input(*ours[i].layer, ours[i].input, 7);
      EXPECT_EQ(first_difference(run_layer(*forms[j].layer, x), run_layer(*expected[j].layer, x)), "") << forms[j].name;
    }
  }
}

TEST_P(KindsTest, ItemsOfABatchAreApart) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (!form.items_apart) return;
    const Tensor x = sample_input(*form.layer, sample.input, 8), y = run_layer(*form.layer, x);
    for (std::int64_t b = 0; b < sample.input[0]; ++b)
      EXPECT_EQ(first_difference(run_layer(*form.layer, batch_item(x, b)), batch_item(y, b)), "") << "item " << b;
  });
}

TEST_P(KindsTest, NanStaysInItsItem) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (!form.items_apart || form.layer->takes_indices()) return;
    const Tensor good = sample_input(*form.layer, sample.input, 9), expected = run_layer(*form.layer, good);
    const std::size_t item = good.data.size() / static_cast<std::size_t>(sample.input[0]);
    for (const float bad : {NAN, -NAN}) {
      for (const std::size_t at : {item / 2, std::size_t{0}, item - 1}) {
        if (size() == 0 && (std::signbit(bad) || at != item / 2)) break;
        Tensor x = good;
        x.data[item + at] = bad;
        const Tensor y = run_layer(*form.layer, x);
        for (const std::int64_t b : {0, 2})
          EXPECT_EQ(first_difference(batch_item(y, b), batch_item(expected, b)), "") << "item " << b;
        const Tensor mine = batch_item(y, 1);
        Tensor other = good;  // whether the element matters: a LastStep or a stride may pass it over
        other.data[item + at] = good.data[item + at] > 0 ? -2.0f : 2.0f;
        if (first_difference(run_layer(*form.layer, other), expected).empty()) continue;
        EXPECT_TRUE(std::ranges::any_of(mine.data, [](float v) { return std::isnan(v); })) << at;
      }
    }
  });
}

TEST_P(KindsTest, EmptyBatch) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    std::vector<std::int64_t> dims(sample.input.dims().begin(), sample.input.dims().end());
    dims[0] = 0;
    const Tensor x{Shape(dims)}, y = run_layer(*form.layer, x);
    EXPECT_EQ(y.shape[0], 0);
    EXPECT_TRUE(y.data.empty());
  });
}

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::io_error;
}

TEST_P(KindsTest, WrongOutputsAndNull) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (form.layer->takes_indices()) return;
    const Tensor x = sample_input(*form.layer, sample.input, 3);
    const Shape right = form.layer->output_shape(x.shape);
    Workspace workspace;
    Tensor wrong(right.with_back(right.back() + 1)), y(right);
    const auto forward = [&](ConstTensorView in, TensorView out) {
      return [&, in, out] { form.layer->forward(in, out, workspace, nullptr); };
    };
    EXPECT_EQ(code_of(forward(x.view(), wrong.view())), ErrorCode::shape_mismatch);
    EXPECT_EQ(code_of(forward({nullptr, x.shape}, y.view())), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(forward(x.view(), {nullptr, right})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] {
                form.layer->forward(IndexView{nullptr, x.shape}, y.view(), workspace, nullptr);
              }),
              ErrorCode::invalid_argument);
    if (form.layer->input_size() < 0) return;
    EXPECT_EQ(code_of([&] { form.layer->output_shape(Shape{}); }), ErrorCode::shape_mismatch);
  });
}

TEST_P(KindsTest, ThreadsGiveTheSameBits) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (size() == 0 && sample.large) return;
    const Tensor x = sample_input(*form.layer, sample.input, 4), expected = run_layer(*form.layer, x);
    for (const int threads : {2, 3}) {
      Workspace workspace(threads);
      EXPECT_EQ(first_difference(run_layer(*form.layer, x, workspace), expected), "") << threads;
      EXPECT_EQ(first_difference(run_layer(*form.layer, x, workspace), expected), "") << threads << ", again";
    }
  });
}

TEST_P(KindsTest, ForkedChildHasTheSameBits) {
  if (size() == 0) GTEST_SKIP() << "not in a small test";
  Workspace workspace(3);
  const auto all_right = [&] {
    bool right = true;
    for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
      const Tensor x = sample_input(*form.layer, sample.input, 5);
      right = right && first_difference(run_layer(*form.layer, x, workspace), run_layer(*form.layer, x)).empty();
    });
    return right;
  };
  ASSERT_TRUE(all_right());
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(all_right() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_P(KindsTest, EnvironmentChangesNothing) {
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (sample.large) return;
    Tensor x = sample_input(*form.layer, sample.input, 6);
    if (!form.layer->takes_indices()) {
      for (std::size_t i = 0; i < x.data.size(); i += 3) x.data[i] *= 1e-39f;
    }
    const Tensor expected = run_layer(*form.layer, x);
    for (const Control bits : environments())
      EXPECT_EQ(first_difference(run_under(bits, [&] { return run_layer(*form.layer, x); }), expected), "") << bits;
  });
}

TEST_P(KindsTest, FilesHoldTheLayer) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("bytegate-kinds-" + std::to_string(getpid()) + "-" + GetParam() + ".safetensors");
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    Sequential model;
    model.add("a", form.layer);
    save_model(model, path);
    const Sequential loaded = load_model(path, {.backend = &backend()});
    EXPECT_EQ(to_string(loaded), to_string(model));
    EXPECT_EQ(architecture_json(loaded), architecture_json(model));
    const Tensor x = sample_input(*form.layer, sample.input, 10);
    EXPECT_EQ(first_difference(run_layer(*loaded.layers()[0].layer, x), run_layer(*form.layer, x)), "");
    // The same layer, quantized while it is read.
    if (form.layer == sample.layer) {
      const QuantizeOptions quantize{.kinds = {}, .backend = &backend()};
      const Sequential small = load_model(path, {.backend = &backend(), .quantize = &quantize});
      const Sequential expected = quantize_dynamic(model, quantize);
      EXPECT_EQ(to_string(small), to_string(expected));
      EXPECT_EQ(first_difference(run_layer(*small.layers()[0].layer, x), run_layer(*expected.layers()[0].layer, x)),
                "");
    }
  });
  std::filesystem::remove(path);
}

// In a Sequential, an activation works on the output of the layer before it: with the bits of a call of its own.
TEST_P(KindsTest, FusedActivationsHaveTheSameBits) {
  std::vector<SampleLayer> activations = sample_layers(backend());
  std::erase_if(activations, [](const SampleLayer& sample) { return !sample.layer->elementwise(); });
  ASSERT_GE(activations.size(), 5u);
  for_each_form([&](const NamedForm& form, const SampleLayer& sample) {
    if (form.layer->takes_indices() || (size() == 0 && sample.large)) return;
    const Tensor x = sample_input(*form.layer, sample.input, 11), before = run_layer(*form.layer, x);
    for (const SampleLayer& activation : activations) {
      const Tensor expected = run_layer(*activation.layer, run_layer(*activation.layer, before));
      for (const int threads : {1, 3}) {
        Sequential model;
        model.add("layer", form.layer);
        model.add("first", activation.layer);
        model.add("second", activation.layer);
        Workspace workspace(threads);
        Tensor y(model.output_shape(x.shape));
        model.forward(x.view(), y.view(), workspace);
        EXPECT_EQ(first_difference(y, expected), "") << activation.name << ", threads: " << threads;
      }
    }
  });
}

BYTEGATE_ON_EVERY_BACKEND(KindsTest);

}  // namespace
}  // namespace bytegate::testing
