// What a call through the C interface costs beyond the same call in C++: bench_c [MOST_NS]
//
// The model is a small Linear, whose own time is short, with a state and options. The two calls are timed in
// turn, and the shortest time of each counts. Their outputs must be the same bits. Exit code 1 if they are not, or if
// the difference is more than MOST_NS.
#include <bytegate/bytegate.h>
#include <bytegate/model.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace bytegate;

namespace {

constexpr int kRounds = 400, kCalls = 500;

void require(bytegate_status status) {
  if (status == BYTEGATE_OK) return;
  std::fprintf(stderr, "bench_c: %s\n", bytegate_last_error());
  std::exit(2);
}

Tensor numbers(const Shape& shape, unsigned seed) {
  Tensor t(shape);
  for (float& v : t.data)
    v = static_cast<float>(static_cast<int>((seed = seed * 1664525u + 1013904223u) >> 16)) * 0x1p-18f;
  return t;
}

/// Nanoseconds of one of several calls.
template <class Call>
double time_of(const Call& call) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) call();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() / kCalls;
}

struct Times {
  double c = 1e18;
  double cpp = 1e18;
};

template <class C, class Cpp>
Times compare(const C& c, const Cpp& cpp) {
  Times best;
  for (int i = 0; i < kRounds; ++i) {
    best.c = std::min(best.c, time_of(c));
    best.cpp = std::min(best.cpp, time_of(cpp));
  }
  return best;
}

constexpr std::int64_t kInputs = 16, kOutputs = 16;

bytegate_model* make_c(const Tensor& weight) {
  bytegate_linear_options options{};
  options.struct_size = sizeof options;
  options.in_features = kInputs;
  options.out_features = kOutputs;
  options.weight = weight.data.data();
  bytegate_layer* layer;
  require(bytegate_linear_create(&options, &layer));
  bytegate_model* model;
  const char* name = "fc";
  require(bytegate_model_create(nullptr, &name, &layer, 1, &model));
  require(bytegate_layer_close(layer));
  return model;
}

}  // namespace

int main(int argc, char** argv) {
  const double most = argc > 1 ? std::atof(argv[1]) : 1e18;
  const Tensor weight = numbers({kOutputs, kInputs}, 1), x = numbers({1, kInputs}, 2);
  Tensor y({1, kOutputs}), y_c({1, kOutputs});

  Sequential model;
  model.add("fc", Linear(weight.view(), {}));
  Workspace workspace;
  ModelState state;
  bytegate_model* model_c = make_c(weight);
  bytegate_workspace* workspace_c;
  bytegate_forward_options options{};
  options.struct_size = sizeof options;
  require(bytegate_workspace_create(1, &workspace_c));
  require(bytegate_state_create(&options.state));

  const std::int64_t x_shape[] = {1, kInputs}, y_shape[] = {1, kOutputs};
  const auto call_cpp = [&] {
    // A program has its numbers and sizes, in either language.
    model.forward(ConstTensorView{x.data.data(), Shape(x_shape)}, {y.data.data(), Shape(y_shape)}, workspace, &state);
  };
  const auto call_c = [&] {
    require(
        bytegate_model_forward(model_c, x.data.data(), x_shape, 2, y_c.data.data(), y_shape, 2, workspace_c, &options));
  };
  const Times times = compare(call_c, call_cpp);
  const bool same = std::memcmp(y.data.data(), y_c.data.data(), y.data.size() * sizeof(float)) == 0;
  require(bytegate_state_close(options.state));
  require(bytegate_workspace_close(workspace_c));
  require(bytegate_model_close(model_c));

  std::printf("C %.1f ns, C++ %.1f ns, the C interface takes %.1f ns\n", times.c, times.cpp, times.c - times.cpp);
  if (!same) std::printf("other bits in C than in C++\n");
  if (times.c - times.cpp > most) std::printf("more than %.1f ns\n", most);
  return same && times.c - times.cpp <= most ? 0 : 1;
}
