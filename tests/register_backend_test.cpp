// register_backend: what it accepts, what it refuses, and that a backend from outside the library is one like the others.

#include "tests/support/backend_test.h"
#include "tests/support/child.h"
#include "tests/support/compare.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

/// The plain kernels under another name.
struct Outsider {
  BackendKernels kernels = *scalar_backend().kernels;
  Backend backend{kBackendAbi, sizeof(Backend), "outsider", "from outside", 1000, 0, nullptr, &kernels};
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
    {"clash", [](Outsider& o) { o.backend.name = "scalar"; }, "taken"},
    {"null_description", [](Outsider& o) { o.backend.description = nullptr; }, "description"},
    {"null_kernels", [](Outsider& o) { o.backend.kernels = nullptr; }, "'outsider'"},
    {"no_gemm", [](Outsider& o) { o.kernels.int8.gemm = nullptr; }, "'outsider'"},
    {"no_float_gemm", [](Outsider& o) { o.kernels.f32.gemm = nullptr; }, "'outsider'"},
    {"no_lstm_step", [](Outsider& o) { o.kernels.int8.lstm_step = nullptr; }, "'outsider'"},
    {"no_float_lstm_step", [](Outsider& o) { o.kernels.f32.lstm_step = nullptr; }, "'outsider'"},
    {"no_stage_rows", [](Outsider& o) { o.kernels.int8.stage_rows = nullptr; }, "'outsider'"},
    {"no_find_ranges", [](Outsider& o) { o.kernels.int8.find_ranges = nullptr; }, "'outsider'"},
    {"no_sigmoid", [](Outsider& o) { o.kernels.sigmoid = nullptr; }, "'outsider'"},
    {"no_tanh", [](Outsider& o) { o.kernels.tanh = nullptr; }, "'outsider'"},
    {"mr_zero", [](Outsider& o) { o.kernels.int8.mr = 0; }, "geometry"},
    {"nr_zero", [](Outsider& o) { o.kernels.int8.nr = 0; }, "geometry"},
    {"nr_not_of_4", [](Outsider& o) { o.kernels.int8.nr = 6; }, "geometry"},
    {"nb_zero", [](Outsider& o) { o.kernels.int8.nb = 0; }, "geometry"},
    {"nb_no_divisor", [](Outsider& o) { o.kernels.int8.nb = o.kernels.int8.nr - 1; }, "geometry"},
    {"kr_zero", [](Outsider& o) { o.kernels.int8.kr = 0; }, "geometry"},
    {"kr_large", [](Outsider& o) { o.kernels.int8.kr = 65; }, "geometry"},
    {"rhs_size", [](Outsider& o) { o.kernels.int8.rhs_size = 4; }, "geometry"},
    {"float_rhs_size", [](Outsider& o) { o.kernels.f32.rhs_size = 1; }, "geometry"},
    {"lhs_size", [](Outsider& o) { o.kernels.int8.lhs_size = 0; }, "geometry"},
    {"split", [](Outsider& o) { o.kernels.int8.splits_minus_128 = 2; }, "geometry"},
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
    inner_gemm = outsider.kernels.int8.gemm;
    outsider.kernels.int8.gemm = [](const GemmArgs* args) {
      ++gemm_calls;
      inner_gemm(args);
    };
    register_backend(&outsider.backend);
    unsetenv("BYTEGATE_BACKEND");
    if (list_backends().front().backend != &outsider.backend || &default_backend() != &outsider.backend) return 1;
    Random random(1);
    const Tensor weight = random_tensor({9, 30}, random), x = random_tensor({4, 30}, random);
    const auto ours = DynamicQuantizedLinear::from_float(Linear(weight.view(), {}));
    const auto scalar = DynamicQuantizedLinear::from_float(Linear(weight.view(), {}, false, &scalar_backend()));
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
    outsider.backend.supported = [] { return 0; };
    register_backend(&outsider.backend);
    unsetenv("BYTEGATE_BACKEND");
    if (list_backends().front().backend != &outsider.backend || list_backends().front().supported) return 1;
    out = default_backend().name;
    return 0;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_NE(child.output, "outsider");
}

}  // namespace
}  // namespace bytegate::testing
