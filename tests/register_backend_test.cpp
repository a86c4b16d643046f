// register_backend: what it accepts, what it refuses, and that a backend from outside the library is one like the
// others.

#include <unistd.h>

#include "tests/support/backend_test.h"
#include "tests/support/child.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

/// The plain kernels under another name.
struct Outsider {
  Kernels int8 = *scalar_backend().kernels->int8, f32 = *scalar_backend().kernels->f32;
  BackendKernels kernels{&int8, &f32, nullptr, scalar_backend().kernels->sigmoid, scalar_backend().kernels->tanh};
  Backend backend{.priority = 1000,
                  .name = "outsider",
                  .description = "from outside",
                  .required = 0,
                  .unmet = nullptr,
                  .kernels = &kernels};
};

/// Registers the outsider in a child process after `change`; the error's text, or "registered".
Child register_changed(void (*change)(Outsider&)) {
  return in_child([change](std::string& out) {
    static Outsider outsider;
    change(outsider);
    try {
      register_backend(&outsider.backend);
    } catch (const Error& e) {
      out = e.what();
      return e.code() == ErrorCode::invalid_argument ? 1 : 2;
    }
    out = "registered";
    return 0;
  });
}

struct Refusal {
  const char* name;
  void (*change)(Outsider&);
  const char* said;  ///< a part of the message
};

const Refusal kRefusals[] = {
    {"abi", [](Outsider& o) { o.backend.abi = kBackendAbi + 1; }, "abi"},
    {"abi_zero", [](Outsider& o) { o.backend.abi = 0; }, "abi"},
    {"size_larger", [](Outsider& o) { o.backend.size += 8; }, "bytes"},
    {"size_smaller", [](Outsider& o) { o.backend.size -= 8; }, "bytes"},
    {"null_name", [](Outsider& o) { o.backend.name = nullptr; }, "name"},
    {"empty_name", [](Outsider& o) { o.backend.name = ""; }, "name"},
    {"upper_case", [](Outsider& o) { o.backend.name = "Mine"; }, "'Mine'"},
    {"dash", [](Outsider& o) { o.backend.name = "my-backend"; }, "'my-backend'"},
    {"space", [](Outsider& o) { o.backend.name = "mine "; }, "'mine '"},
    {"named_auto", [](Outsider& o) { o.backend.name = "auto"; }, "auto"},
    {"clash", [](Outsider& o) { o.backend.name = list_backends().front().backend->name; }, "taken"},
    {"null_description", [](Outsider& o) { o.backend.description = nullptr; }, "description"},
    {"null_kernels", [](Outsider& o) { o.backend.kernels = nullptr; }, "'outsider'"},
    {"null_int8", [](Outsider& o) { o.kernels.int8 = nullptr; }, "'outsider'"},
    {"null_f32", [](Outsider& o) { o.kernels.f32 = nullptr; }, "'outsider'"},
    {"no_gemm", [](Outsider& o) { o.int8.gemm = nullptr; }, "'outsider'"},
    {"no_float_gemm", [](Outsider& o) { o.f32.gemm = nullptr; }, "'outsider'"},
    {"no_lstm_step", [](Outsider& o) { o.int8.recurrent_step[0] = nullptr; }, "'outsider'"},
    {"no_float_lstm_step", [](Outsider& o) { o.f32.recurrent_step[0] = nullptr; }, "'outsider'"},
    {"no_stage_rows", [](Outsider& o) { o.int8.stage_rows = nullptr; }, "'outsider'"},
    {"no_find_ranges", [](Outsider& o) { o.int8.find_ranges = nullptr; }, "'outsider'"},
    {"no_sigmoid", [](Outsider& o) { o.kernels.sigmoid = nullptr; }, "'outsider'"},
    {"no_tanh", [](Outsider& o) { o.kernels.tanh = nullptr; }, "'outsider'"},
    {"mr_zero", [](Outsider& o) { o.int8.mr = 0; }, "geometry"},
    {"nr_zero", [](Outsider& o) { o.int8.layout.panel_channels = 0; }, "geometry"},
    {"nr_not_of_4", [](Outsider& o) { o.int8.layout.panel_channels = 6; }, "geometry"},
    {"nb_zero", [](Outsider& o) { o.int8.layout.block_channels = 0; }, "geometry"},
    {"nb_no_divisor", [](Outsider& o) { o.int8.layout.block_channels = o.int8.layout.panel_channels - 1; }, "geometry"},
    {"kr_zero", [](Outsider& o) { o.int8.layout.kr = 0; }, "geometry"},
    {"kr_large", [](Outsider& o) { o.int8.layout.kr = 65; }, "geometry"},
    {"rhs_size", [](Outsider& o) { o.int8.rhs_size = 4; }, "geometry"},
    {"sum_format", [](Outsider& o) { o.int8.sum_format = static_cast<SumFormat>(2); }, "geometry"},
    {"float_rhs_size", [](Outsider& o) { o.f32.rhs_size = 1; }, "geometry"},
    {"lhs_size", [](Outsider& o) { o.int8.lhs_size = 0; }, "geometry"},
    {"kr_64_in_k_block_4", [](Outsider& o) { o.int8.layout.kr = 64; }, "geometry"},
    {"kr_3", [](Outsider& o) { o.int8.layout.kr = o.int8.layout.k_block = 3; }, "geometry"},
    {"k_block_zero", [](Outsider& o) { o.int8.layout.k_block = 0; }, "geometry"},
    {"k_block_not_of_kr", [](Outsider& o) { o.int8.layout.k_block = 2; }, "geometry"},
    {"k_block_128", [](Outsider& o) { o.int8.layout.k_block = 128; }, "geometry"},
    {"kernels_size", [](Outsider& o) { o.backend.kernels_size -= 8; }, "bytes"},
    {"int4", [](Outsider& o) { o.kernels.int4 = &o.int8; }, "4 bits"},
};

class RefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesWhatIsWrong) {
  const Child child = register_changed(GetParam().change);
  EXPECT_EQ(child.exit_code, 1) << child.output;
  EXPECT_NE(child.output.find(GetParam().said), std::string::npos) << child.output;
  EXPECT_NE(child.output.find("register_backend"), std::string::npos) << child.output;
}

INSTANTIATE_TEST_SUITE_P(, RefusalTest, ::testing::ValuesIn(kRefusals),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(RegisterBackendTest, Null) { EXPECT_THROW(register_backend(nullptr), Error); }

TEST(RegisterBackendTest, Accepted) {
  EXPECT_EQ(register_changed([](Outsider&) {}).output, "registered");
  EXPECT_EQ(register_changed([](Outsider& o) { o.backend.name = "a_2"; }).output, "registered");
}

TEST(RegisterBackendTest, TooLate) {
  const Child child = register_changed([](Outsider&) { default_backend(); });
  EXPECT_EQ(child.exit_code, 1);
  EXPECT_NE(child.output.find("too late"), std::string::npos) << child.output;
  EXPECT_NE(child.output.find("outsider"), std::string::npos) << child.output;
}

// Registered, listed first by its priority, chosen, and counted: its kernels are the ones that run.
int gemm_calls = 0;
void (*inner_gemm)(const GemmArgs*) = nullptr;

TEST(RegisterBackendTest, RunsLikeTheOthers) {
  const Child child = in_child([](std::string& out) {
    static Outsider outsider;
    inner_gemm = outsider.int8.gemm;
    outsider.int8.gemm = [](const GemmArgs* args) {
      ++gemm_calls;
      inner_gemm(args);
    };
    register_backend(&outsider.backend);
    unsetenv("BYTEGATE_BACKEND");
    if (list_backends().front().backend != &outsider.backend || &default_backend() != &outsider.backend) return 1;
    Random random(1);
    const Tensor weight = random_tensor({9, 30}, random), x = random_tensor({4, 30}, random);
    const auto ours = Linear::from_float(Linear(weight.view(), {}));
    const auto scalar = Linear::from_float(Linear(weight.view(), {}, false, &scalar_backend()));
    out = ours.backend().name + first_difference(ours.forward(x), scalar.forward(x));
    return gemm_calls == 1 ? 0 : 2;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_EQ(child.output, "outsider");
}

// One that this CPU cannot run is listed, and never chosen.
TEST(RegisterBackendTest, UnsupportedOneIsNotChosen) {
  const Child child = in_child([](std::string& out) {
    static Outsider outsider;
    outsider.backend.unmet = [] { return "a blue moon"; };
    register_backend(&outsider.backend);
    unsetenv("BYTEGATE_BACKEND");
    if (list_backends().front().backend != &outsider.backend || list_backends().front().supported) return 1;
    out = default_backend().name;
    return 0;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_NE(child.output, "outsider");
}

// A backend's own condition may ask for the backends itself; the registry must not be locked then.
TEST(RegisterBackendTest, UnmetMayListBackends) {
  const Child child = in_child([](std::string& out) {
    static bool asking = false;
    static Outsider outsider;
    outsider.backend.unmet = []() -> const char* {
      if (asking) return "an end to this";
      asking = true;
      const int count = static_cast<int>(list_backends().size());
      asking = false;
      return count > 1 ? nullptr : "others";
    };
    register_backend(&outsider.backend);
    unsetenv("BYTEGATE_BACKEND");
    alarm(20);  // ends a process that waits for ever
    out = default_backend().name;
    return list_backends().front().supported ? 0 : 1;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_EQ(child.output, "outsider");
}

/// What a layer that is given this backend says, in a process of its own.
Child layer_with(void (*change)(Outsider&)) {
  return in_child([change](std::string& out) {
    static Outsider outsider;
    change(outsider);
    const Tensor weight(Shape{3, 4}), gates(Shape{4, 1}), bias(Shape{4});
    LSTMConfig config;
    config.input_size = config.hidden_size = 1;
    const RecurrentWeights cell{gates, gates, bias, bias, Tensor()};
    int codes = 0;
    const auto make = [&](const auto& call) {
      try {
        call();
        out += "made ";
      } catch (const Error& e) {
        out += e.what();
        codes += e.code() == ErrorCode::invalid_argument ? 1 : e.code() == ErrorCode::unsupported_backend ? 10 : 100;
      }
    };
    const Linear linear(weight.view(), {});
    const LSTM lstm(config, {cell});
    make([&] { Linear(weight.view(), {}, false, &outsider.backend); });
    make([&] { Linear::from_float(linear, {}, &outsider.backend); });
    make([&] { LSTM(config, {cell}, &outsider.backend); });
    make([&] { LSTM::from_float(lstm, {}, &outsider.backend); });
    return codes;
  });
}

TEST(CheckBackendTest, OneThatIsNotRegisteredMayBeUsed) {
  const Child child = layer_with([](Outsider&) {});
  EXPECT_EQ(child.exit_code, 0) << child.output;
  EXPECT_EQ(child.output, "made made made made ");
}

TEST(CheckBackendTest, OneThatBreaksTheRulesIsRefused) {
  EXPECT_EQ(layer_with([](Outsider& o) { o.backend.abi = kBackendAbi - 1; }).exit_code, 4);
  EXPECT_EQ(layer_with([](Outsider& o) { o.backend.kernels_size = 8; }).exit_code, 4);
  EXPECT_EQ(layer_with([](Outsider& o) { o.f32.gemm = nullptr; }).exit_code, 4);
  EXPECT_EQ(layer_with([](Outsider& o) { o.int8.layout.kr = 64; }).exit_code, 4);
}

TEST(CheckBackendTest, OneThatCannotRunHereIsRefused) {
  const Child own = layer_with([](Outsider& o) { o.backend.unmet = [] { return "a blue moon"; }; });
  EXPECT_EQ(own.exit_code, 40) << own.output;
  EXPECT_NE(own.output.find("'outsider' cannot run here; it needs a blue moon"), std::string::npos) << own.output;
  const Child feature = layer_with([](Outsider& o) { o.backend.required = ~cpu_features() & cpu_feature::all; });
  EXPECT_EQ(feature.exit_code, 40) << feature.output;
  EXPECT_NE(feature.output.find("it needs "), std::string::npos) << feature.output;
  const Child unknown = layer_with([](Outsider& o) { o.backend.required = CpuFeatures{1} << 63; });
  EXPECT_EQ(unknown.exit_code, 40) << unknown.output;
}

TEST(CheckBackendTest, ListedBackendsToo) {
  for (const BackendInfo& info : list_backends()) {
    if (info.supported) {
      EXPECT_EQ(&check_backend(info.backend), info.backend);
    } else {
      EXPECT_THROW(check_backend(info.backend), Error) << info.backend->name;
    }
  }
}

TEST(CheckBackendTest, NullIsTheDefault) {
  EXPECT_EQ(in_child([](std::string&) { return &check_backend(nullptr) == &default_backend() ? 0 : 1; }).exit_code, 0);
}

}  // namespace
}  // namespace bytegate::testing
