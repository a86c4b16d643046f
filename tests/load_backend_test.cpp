// load_backend: a backend in a shared library that was built from backend.h alone is one like the others.
#include <bytegate/layers.h>
#include <dlfcn.h>

#include <cmath>
#include <cstring>

#include "tests/support/backend_test.h"
#include "tests/support/child.h"
#include "tests/support/compare.h"
#include "tests/support/lstm_runs.h"
#include "tests/support/random.h"

namespace bytegate::testing {
namespace {

/// In a process of its own: the error that load_backend throws for `path`, or the name of the backend.
Child load(const std::string& path) {
  return in_child([path](std::string& out) {
    try {
      out = load_backend(path).name;
      return 0;
    } catch (const Error& e) {
      out = e.what();
      return e.code() == ErrorCode::io_error ? 1 : e.code() == ErrorCode::invalid_argument ? 2 : 3;
    }
  });
}

void expect_error(const std::string& path, int exit_code, const char* said) {
  const Child child = load(path);
  EXPECT_EQ(child.exit_code, exit_code) << child.output;
  EXPECT_NE(child.output.find("load_backend"), std::string::npos) << child.output;
  EXPECT_NE(child.output.find(said), std::string::npos) << child.output;
}

TEST(LoadBackendTest, Errors) {
  expect_error("", 2, "absolute");
  expect_error("libplugin_backend.so", 2, "'libplugin_backend.so'");
  expect_error("./libplugin_backend.so", 2, "absolute");
  expect_error("/no/such/library.so", 1, "/no/such/library.so");
  expect_error(BYTEGATE_SOURCE_DIR "/README.md", 1, "README.md");  // no shared library
  Dl_info libc{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&std::strlen), &libc), 0);
  expect_error(libc.dli_fname, 1, "bytegate_backend");  // one without the function
  expect_error(BYTEGATE_OLD_PLUGIN, 2, ("abi " + std::to_string(kBackendAbi - 1)).c_str());
}

#ifdef BYTEGATE_PLUGIN

TEST(LoadBackendTest, TwiceIsTaken) {
  const Child child = in_child([](std::string& out) {
    const Backend& backend = load_backend(BYTEGATE_PLUGIN);
    if (&find_backend("plugin") != &backend) return 1;
    try {
      load_backend(BYTEGATE_PLUGIN);
    } catch (const Error& e) {
      out = e.what();
    }
    return backend.kernels->int8->mr == 1 ? 0 : 2;  // it is still loaded
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_NE(child.output.find("taken"), std::string::npos) << child.output;
}

TEST(LoadBackendTest, TooLate) {
  const Child child = in_child([](std::string& out) {
    default_backend();
    try {
      load_backend(BYTEGATE_PLUGIN);
    } catch (const Error& e) {
      out = e.what();
    }
    return 0;
  });
  EXPECT_NE(child.output.find("too late"), std::string::npos) << child.output;
}

/// A process with the plugin in its registry.
const Backend& plugin() {
  static const Backend& backend = load_backend(BYTEGATE_PLUGIN);
  return backend;
}

TEST(LoadBackendTest, SameBitsInLinear) {
  Random random(1);
  for (auto [m, n, k] : {std::tuple{1, 1, 1}, {5, 37, 101}, {3, 8, 64}}) {
    const Tensor weight = random_tensor({n, k}, random), bias = random_tensor({n}, random);
    Tensor x = random_tensor({m, k}, random);
    x.data[0] = m == 5 ? std::nanf("") : 0.0f;
    for (bool relu : {false, true}) {
      const Linear ours(weight.view(), bias.view(), relu, &plugin()),
          scalar(weight.view(), bias.view(), relu, &scalar_backend());
      EXPECT_EQ(ours.backend().name, std::string("plugin"));
      EXPECT_EQ(first_difference(ours.forward(x), scalar.forward(x)), "");
      const auto ours8 = Linear::from_float(ours), scalar8 = Linear::from_float(scalar);
      EXPECT_EQ(first_difference(ours8.forward(x), scalar8.forward(x)), "");
    }
  }
}

TEST(LoadBackendTest, SameBitsInLstm) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const LstmCase c = random_lstm_case(seed);
    if (c.layer != Cell::lstm) continue;  // the plugin has no step of the others
    for (const LstmKind& kind : lstm_kinds()) {
      const LSTMState* state = c.has_state ? &c.state : nullptr;
      const LSTMResult ours = AnyLstm(c, kind, plugin()).forward(c.x, state, c.lengths);
      const LSTMResult scalar = AnyLstm(c, kind, scalar_backend()).forward(c.x, state, c.lengths);
      EXPECT_EQ(first_difference(ours.output, scalar.output), "") << kind.name << ", " << c.text();
      EXPECT_EQ(first_difference(ours.state.c, scalar.state.c), "") << kind.name << ", " << c.text();
    }
  }
}

#endif  // BYTEGATE_PLUGIN

}  // namespace
}  // namespace bytegate::testing
