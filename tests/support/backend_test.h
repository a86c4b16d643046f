// One suite, every backend: a fixture whose parameter is the name of a registered backend.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/backends.h"

namespace bytegate::testing {

/// Skips a backend that this CPU cannot run, unless BYTEGATE_REQUIRED_BACKENDS names it: then it fails.
class BackendTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const BackendInfo& info : list_backends()) {
      if (info.backend->name != GetParam()) continue;
      if (!info.supported) {
        ASSERT_FALSE(is_required(GetParam())) << GetParam() << " must run and this CPU lacks " << info.missing;
        GTEST_SKIP() << "this CPU lacks " << info.missing;
      }
      backend_ = info.backend;
      return;
    }
    FAIL() << "no backend " << GetParam();
  }

  const Backend& backend() const { return *backend_; }
  /// How much to test of this backend: test_size(), but less for stand-ins, which are slow.
  int size() const { return backend_->priority < 0 ? 0 : test_size(); }

 private:
  const Backend* backend_ = nullptr;
};

}  // namespace bytegate::testing

/// Runs the TEST_Ps of a BackendTest on every backend: "Suite.Test/avx2".
#define BYTEGATE_ON_EVERY_BACKEND(Suite)                                                       \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(::bytegate::testing::backend_names()), \
                           [](const auto& test) { return test.param; })
