// A program as a user writes one, which uses something of every part of the library: registry, kernels, layers, models,
// files.
//   program FILE
// FILE is written and read again. Prints the chosen backend and the bits of its results, which are the same however the
// program and the library were built. Exit code 1: what a backend computes differs from the plain one, or NaN is lost.
// Nothing here relies on the compiler's own treatment of NaN, because the program is compiled with -ffast-math too.
#include <bytegate/backends.h>
#include <bytegate/model_file.h>
#include <bytegate/version.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

/// Multiples of 2^-20 in -1..1, scaled by a power of two: exact under every flag.
class Numbers {
 public:
  float next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<std::int32_t>(state_ >> 11) - (1 << 20)) / (1 << 20);
  }
  bytegate::Tensor tensor(const bytegate::Shape& shape, float scale) {
    bytegate::Tensor t(shape);
    for (float& v : t.data) v = next() * scale;
    return t;
  }

 private:
  std::uint32_t state_ = 1;
};

std::uint32_t bits(float value) {
  std::uint32_t result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

bool is_nan(float value) { return (bits(value) & 0x7fffffffu) > 0x7f800000u; }

std::uint64_t digest(const bytegate::Tensor& t) {
  std::uint64_t hash = 14695981039346656037u;
  for (const float v : t.data) hash = (hash ^ bits(v)) * 1099511628211u;
  return hash;
}

bytegate::LSTM make_lstm(const bytegate::Backend* backend, float bias_scale = 0.25f) {
  bytegate::LSTMConfig config;
  config.input_size = 24;
  config.hidden_size = 48;
  Numbers numbers;
  const bytegate::Tensor w_ih = numbers.tensor(bytegate::Shape{192, 24}, 0.25f),
                         w_hh = numbers.tensor(bytegate::Shape{192, 48}, 0.25f);
  const bytegate::Tensor bias = numbers.tensor(bytegate::Shape{192}, bias_scale);
  return bytegate::LSTM(config, {{w_ih, w_hh, bias, bias, {}}}, backend);
}

int failures = 0;

void expect(bool condition, const char* backend, const char* what) {
  if (condition) return;
  std::printf("FAILED on %s: %s\n", backend, what);
  ++failures;
}

/// The int8 LSTM on every backend that this CPU can run.
void check_backends() {
  Numbers numbers;
  const bytegate::Tensor x = numbers.tensor(bytegate::Shape{30, 2, 24}, 2);
  // Just normal numbers, which this program's own arithmetic keeps whatever its flags are; h is subnormal then.
  bytegate::Tensor tiny = numbers.tensor(bytegate::Shape{30, 2, 24}, 1);
  for (float& v : tiny.data) v = (v < 0 ? v - 1 : v + 1) * 0x1p-125f;
  std::uint64_t expected = 0, expected_tiny = 0;
  for (const bool plain : {true, false}) {  // first the one that runs on every CPU: the others are compared with it
    for (const bytegate::BackendInfo& info : bytegate::list_backends()) {
      if (!info.supported || (info.backend->required == 0) != plain) continue;
      const auto lstm = bytegate::LSTM::from_float(make_lstm(info.backend), {}, info.backend);
      const auto unbiased = bytegate::LSTM::from_float(make_lstm(info.backend, 0), {}, info.backend);
      const std::uint64_t found = digest(lstm.forward(x).output), found_tiny = digest(unbiased.forward(tiny).output);
      if (plain) {
        expected = found, expected_tiny = found_tiny;
        std::printf("lstm %016llx\n", static_cast<unsigned long long>(found));
        std::printf("subnormal %016llx\n", static_cast<unsigned long long>(found_tiny));
      }
      expect(found == expected, info.backend->name, "other bits than the plain backend");
      expect(found_tiny == expected_tiny, info.backend->name, "other bits where results are subnormal");
      for (const std::uint32_t odd : {0x7fc00000u, 0x7f800000u}) {  // NaN and infinity
        bytegate::Tensor input = x;
        std::memcpy(&input.data[0], &odd, sizeof odd);
        const bytegate::Tensor y = lstm.forward(input).output;
        expect(is_nan(y.data[0]), info.backend->name, "a row with NaN or infinity does not give NaN");
        expect(!is_nan(y.data[48]), info.backend->name, "another row gives NaN");
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Numbers numbers;
  bytegate::Sequential model;
  model.add("lstm", make_lstm(nullptr));
  const bytegate::Tensor weight = numbers.tensor(bytegate::Shape{8, 48}, 0.25f);
  model.add("fc", bytegate::Linear(weight.view(), {}));
  const bytegate::Tensor x = numbers.tensor(bytegate::Shape{5, 3, 24}, 1);

  const bytegate::Sequential int8 = bytegate::quantize_dynamic(model);
  bytegate::save_model(int8, argv[1]);
  const std::uint64_t saved = digest(int8.forward(x)), loaded = digest(bytegate::load_model(argv[1]).forward(x));
  expect(saved == loaded, bytegate::default_backend().name, "a model that was saved and loaded gives other bits");

  std::printf("version %s\nbackend %s\nmodel %016llx\n", bytegate::version(), bytegate::default_backend().name,
              static_cast<unsigned long long>(saved));
  expect(std::string(bytegate::version()) == BYTEGATE_VERSION_STRING, "any", "version() is not that of the headers");
  check_backends();
  return failures == 0 ? 0 : 1;
}
