// The choice of a backend: as a pure function over features, and as a program sees it through BYTEGATE_BACKEND.
#include <bytegate/layers.h>

#include <algorithm>
#include <set>

#include "dispatch/select.h"
#include "tests/support/backend_test.h"
#include "tests/support/child.h"

namespace bytegate::testing {
namespace {

using dispatch::rank_backends;
using dispatch::select;

const char* no() { return "a blue moon"; }
const char* yes() { return nullptr; }

BackendKernels complete_kernels() { return *scalar_backend().kernels; }

constexpr CpuFeatures kNeededAvx2 = cpu_feature::avx2 | cpu_feature::fma3;
constexpr CpuFeatures kNeededAvx512 =
    cpu_feature::avx512f | cpu_feature::avx512bw | cpu_feature::avx512dq | cpu_feature::avx512vl;
constexpr CpuFeatures kNeededAmx = cpu_feature::amx_tile | cpu_feature::amx_int8;

/// A table like the built-in x86 one.
struct FakeRegistry {
  BackendKernels kernels = complete_kernels();
  Backend plain = fake("plain", 0, 0);
  Backend narrow = fake("narrow", 20, kNeededAvx2);
  Backend wide = fake("wide", 25, kNeededAvx2 | kNeededAvx512);
  Backend narrow_dot = fake("narrow_dot", 30, kNeededAvx2 | cpu_feature::avxvnni);
  Backend wide_dot = fake("wide_dot", 40, kNeededAvx2 | kNeededAvx512 | cpu_feature::avx512vnni);
  Backend tiles = fake("tiles", 50, kNeededAvx2 | kNeededAvx512 | cpu_feature::avx512vnni | kNeededAmx);
  std::vector<const Backend*> all{&plain, &narrow, &wide, &narrow_dot, &wide_dot, &tiles};

 private:
  Backend fake(const char* name, std::int32_t priority, CpuFeatures required) {
    return {.priority = priority,
            .name = name,
            .description = "",
            .required = required,
            .unmet = nullptr,
            .kernels = &kernels};
  }
};

const Backend& chosen(CpuFeatures features, const std::vector<const Backend*>& registry, std::string_view wanted = "") {
  return select(features, registry, wanted, "BYTEGATE_BACKEND");
}

/// The message of the Error that a call throws, with its code before it; "" if it throws none.
template <class Call>
std::string message(const Call& call) {
  try {
    call();
  } catch (const Error& e) {
    const char* code = e.code() == ErrorCode::unknown_backend       ? "unknown_backend: "
                       : e.code() == ErrorCode::unsupported_backend ? "unsupported_backend: "
                       : e.code() == ErrorCode::invalid_argument    ? "invalid_argument: "
                                                                    : "another code: ";
    return code + std::string(e.what());
  }
  return "";
}

void expect_parts(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

/// What the best x86 backend for a CPU requires, written out again.
CpuFeatures best_needs(CpuFeatures f) {
  if ((f & kNeededAvx2) != kNeededAvx2) return 0;
  const bool wide = (f & kNeededAvx512) == kNeededAvx512;
  if (wide && (f & cpu_feature::avx512vnni)) {
    const CpuFeatures needed = kNeededAvx2 | kNeededAvx512 | cpu_feature::avx512vnni;
    return (f & kNeededAmx) == kNeededAmx ? needed | kNeededAmx : needed;
  }
  if (f & cpu_feature::avxvnni) return kNeededAvx2 | cpu_feature::avxvnni;
  return wide ? kNeededAvx2 | kNeededAvx512 : kNeededAvx2;
}

TEST(SelectTest, EveryFeatureCombination) {
  const FakeRegistry fake;
  std::set<std::string> seen;
  for (CpuFeatures i = 0; i < 1024; ++i) {
    const CpuFeatures f = i % 256 | (i / 256 % 2 ? cpu_feature::amx_tile : 0) | (i / 512 ? cpu_feature::amx_int8 : 0);
    const CpuFeatures expected = best_needs(f);
    for (const char* automatic : {"", "auto"}) {
      const Backend& best = chosen(f, fake.all, automatic);
      EXPECT_EQ(best.required, expected) << feature_names(f);
      seen.insert(best.name);
    }
    for (const BackendInfo& info : rank_backends(f, fake.all)) {
      const CpuFeatures lacking = info.backend->required & ~f;
      EXPECT_EQ(info.supported, lacking == 0) << info.backend->name << " with " << feature_names(f);
      EXPECT_EQ(info.missing, feature_names(lacking));
      const std::string text = message([&] { chosen(f, fake.all, info.backend->name); });
      if (info.supported) {
        EXPECT_EQ(text, "");
        EXPECT_EQ(&chosen(f, fake.all, info.backend->name), info.backend);
      } else {
        expect_parts(text, {"unsupported_backend", "BYTEGATE_BACKEND", info.backend->name, info.missing.c_str(),
                            "plain (supported)"});
      }
    }
  }
  EXPECT_EQ(seen.size(), 6u);
}

/// The library's own table says the same (backends from other architectures need bits that are 0 here; that of AMX has
/// a condition of its own).
TEST(SelectTest, BuiltInBackends) {
  std::vector<const Backend*> registry;
  for (const BackendInfo& info : list_backends()) {
    if (info.backend->priority >= 0) registry.push_back(info.backend);
  }
  if (std::ranges::none_of(registry, [](const Backend* b) { return b->required == kNeededAvx2; })) {
    GTEST_SKIP() << "not x86-64";
  }
  for (CpuFeatures f = 0; f < 256; ++f) EXPECT_EQ(chosen(f, registry).required, best_needs(f)) << feature_names(f);
}

TEST(SelectTest, BestFirstAndStable) {
  FakeRegistry fake;
  Backend twin = fake.narrow;
  twin.name = "twin";
  fake.all.push_back(&twin);
  std::vector<std::string> names;
  for (const BackendInfo& info : rank_backends(~CpuFeatures{0}, fake.all)) names.emplace_back(info.backend->name);
  EXPECT_EQ(names, (std::vector<std::string>{"tiles", "wide_dot", "narrow_dot", "wide", "narrow", "twin", "plain"}));
}

TEST(SelectTest, OwnCheckOfABackend) {
  FakeRegistry fake;
  fake.wide_dot.unmet = no;
  fake.narrow_dot.unmet = yes;
  EXPECT_EQ(&chosen(255, fake.all), &fake.narrow_dot);
  expect_parts(message([&] { chosen(255, fake.all, "wide_dot"); }), {"unsupported_backend", "it needs a blue moon"});
}

// The kernel is asked for permission to use a feature only where the backend that uses it can be chosen.
TEST(SelectTest, ANamedBackendAsksNoOther) {
  static int asked;
  asked = 0;
  FakeRegistry fake;
  fake.tiles.unmet = []() -> const char* {
    ++asked;
    return nullptr;
  };
  EXPECT_EQ(&chosen(~CpuFeatures{0}, fake.all, "narrow"), &fake.narrow);
  EXPECT_EQ(&chosen(255, fake.all), &fake.wide_dot);  // the CPU has no tiles
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(&chosen(~CpuFeatures{0}, fake.all), &fake.tiles);
  EXPECT_EQ(asked, 1);
}

TEST(SelectTest, NothingRuns) {
  FakeRegistry fake;
  expect_parts(message([&] {
                 chosen(0, {&fake.narrow, &fake.narrow_dot});
               }),
               {"unsupported_backend", "narrow", "narrow_dot", "fma3"});
}

// Names are matched whole and as they are written.
TEST(SelectTest, UnknownNames) {
  const FakeRegistry fake;
  for (const char* name : {"narro", "narrow2", "NARROW", "narrow ", " ", "Auto", "none", "plain,narrow", "0"}) {
    expect_parts(
        message([&] { chosen(cpu_feature::avx2 | cpu_feature::fma3, fake.all, name); }),
        {"unknown_backend", "BYTEGATE_BACKEND", (std::string("'") + name + "'").c_str(), "auto", "plain (supported)",
         "narrow (supported)", "narrow_dot (unsupported", "wide (unsupported", "wide_dot (unsupported"});
  }
}

TEST(SelectTest, FeatureNames) {
  EXPECT_EQ(feature_names(0), "");
  EXPECT_EQ(feature_names(cpu_feature::fma3), "fma3");
  std::set<std::string> names;
  for (CpuFeatures bit = 1; bit <= cpu_feature::all; bit <<= 1) names.insert(feature_names(bit));
  EXPECT_EQ(names.size(), 13u);
  EXPECT_EQ(names.count(""), 0u);
}

/// What a fresh process sees with BYTEGATE_BACKEND as given (null: unset).
Child choose(const char* value) {
  return in_child([value](std::string& out) {
    value ? setenv("BYTEGATE_BACKEND", value, 1) : unsetenv("BYTEGATE_BACKEND");
    const std::string error = message([&] { out = default_backend().name; });
    if (error.empty() && &default_backend() != &find_backend(out)) out += " and then another";
    if (error.empty()) return 0;
    out = error;
    return 1;
  });
}

TEST(EnvironmentTest, UnsetEmptyAndAuto) {
  std::string best;
  for (const BackendInfo& info : list_backends()) {
    if (info.supported && best.empty()) best = info.backend->name;
  }
  for (const char* value : {static_cast<const char*>(nullptr), "", "auto"}) {
    const Child child = choose(value);
    EXPECT_EQ(child.exit_code, 0);
    EXPECT_EQ(child.output, best);
  }
}

TEST(EnvironmentTest, EachName) {
  for (const BackendInfo& info : list_backends()) {
    const Child child = choose(info.backend->name);
    EXPECT_EQ(child.exit_code, info.supported ? 0 : 1);
    if (info.supported) {
      EXPECT_EQ(child.output, info.backend->name);
      continue;
    }
    expect_parts(child.output, {"unsupported_backend", "BYTEGATE_BACKEND", info.backend->name, info.missing.c_str()});
    for (const BackendInfo& other : list_backends()) expect_parts(child.output, {other.backend->name});
  }
}

TEST(EnvironmentTest, MisspelledName) {
  const Child child = choose("avx3");
  EXPECT_EQ(child.exit_code, 1);
  expect_parts(child.output, {"unknown_backend", "'avx3'", "BYTEGATE_BACKEND", "auto"});
  for (const BackendInfo& info : list_backends()) {
    expect_parts(child.output,
                 {(std::string(info.backend->name) + (info.supported ? " (supported)" : " (unsupported")).c_str()});
  }
}

TEST(EnvironmentTest, AskedOnce) {
  const Child child = in_child([](std::string&) {
    unsetenv("BYTEGATE_BACKEND");
    const Backend* first = &default_backend();
    setenv("BYTEGATE_BACKEND", first == &scalar_backend() ? "no_such_thing" : scalar_backend().name, 1);
    return &default_backend() == first ? 0 : 1;
  });
  EXPECT_EQ(child.exit_code, 0);
}

// A layer that is given a backend does not ask the environment.
TEST(EnvironmentTest, ExplicitBackendDoesNotAsk) {
  const Child child = in_child([](std::string& out) {
    setenv("BYTEGATE_BACKEND", "no_such_thing", 1);
    const Linear layer(Tensor(Shape{2, 2}).view(), {}, false, &scalar_backend());
    out = layer.backend().name;
    return message([] { Linear(Tensor(Shape{2, 2}).view(), {}); }).empty() ? 1 : 0;
  });
  EXPECT_EQ(child.exit_code, 0);
  EXPECT_EQ(child.output, scalar_backend().name);
}

TEST(FindBackendTest, Auto) {
  const std::vector<BackendInfo> backends = list_backends();
  const auto best = std::ranges::find_if(backends, [](const BackendInfo& info) { return info.supported; });
  EXPECT_EQ(&find_backend("auto"), best->backend);
}

// Detection finds what the operating system lets it find, so no message says that the CPU lacks something.
TEST(SelectTest, MessagesSpeakOfNeeds) {
  const FakeRegistry fake;
  const std::string text = message([&] { chosen(0, fake.all, "narrow"); });
  expect_parts(text, {"'narrow' cannot run here", "it needs avx2, fma3"});
  EXPECT_EQ(text.find("lacks"), std::string::npos) << text;
}

TEST(FindBackendTest, Errors) {
  EXPECT_EQ(&find_backend(scalar_backend().name), &scalar_backend());
  expect_parts(message([] { find_backend("sclar"); }), {"unknown_backend", "'sclar'", "scalar (supported)"});
  expect_parts(message([] { find_backend(""); }), {"unknown_backend", "find_backend", "empty"});
}

}  // namespace
}  // namespace bytegate::testing
