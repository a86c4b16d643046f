// torch_conformance DIR: runs every reference case of a folder in float, in the torch scheme with 8 and 7 bits, and in
// the per_row scheme, on every backend this CPU supports, and compares with PyTorch's outputs. Prints one line for
// each case, then "N passed, M failed". The exit code is 0 if none failed and at least one passed.
#include <algorithm>
#include <cstdio>

#include "tests/case_file.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"

namespace {

using namespace bytegate;
using namespace bytegate::testing;

bool same_outputs(const Outputs& a, const Outputs& b) {
  return same_bits(a.output, b.output) && same_bits(a.hn, b.hn) && same_bits(a.cn, b.cn);
}

Outputs quantized(const Case& c, const Sequential& model, const Scheme& scheme) {
  QuantizeOptions options;
  options.scheme = scheme;
  return c.run(quantize_dynamic(model, options));
}

constexpr double kTolerance = 1e-5;
constexpr double kNoisePart = 0.05;
constexpr double kLeastGain = -1;  // dB, per_row against PyTorch's 8 bits
/// dB, enough where PyTorch cannot quantize the model, so that the library's own torch scheme stands beside per_row:
/// the ratio of the noises of two roundings is chance where a model has few outputs.
constexpr double kEnough = 30;

struct Report {
  bool ok = true;
  std::string text;
  double gain = 0;  // dB, per_row against torch 8 bit

  void expect(bool condition, const std::string& what) {
    if (condition) return;
    ok = false;
    text += " [" + what + "]";
  }
};

std::string number(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

/// The outputs of one case: float, torch 8 bit, torch 7 bit, per_row.
constexpr const char* kVariants[] = {"float", "torch 8 bit", "torch 7 bit", "accurate"};
std::vector<Outputs> all_outputs(const Case& c, const Backend& backend) {
  const Sequential model = c.model(backend);
  return {c.run(model), quantized(c, model, Scheme::torch(c.per_channel(), 8)),
          quantized(c, model, Scheme::torch(c.per_channel(), 7)), quantized(c, model, Scheme::per_row())};
}

/// The outputs of the first backend; those of the others must have the same bits.
std::vector<Outputs> run_backends(const Case& c, const std::vector<const Backend*>& backends, Report& report) {
  std::vector<Outputs> first;
  for (const Backend* backend : backends) {
    std::vector<Outputs> outputs = all_outputs(c, *backend);
    if (first.empty()) first = outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      report.expect(same_outputs(first[i], outputs[i]),
                    std::string(kVariants[i]) + ": " + backend->name + " gives other bits than " + backends[0]->name);
    }
  }
  return first;
}

void check_float(const Outputs& ours, const Outputs& reference, Report& report) {
  double worst = difference(ours.output, reference.output);
  if (!reference.hn.data.empty()) worst = std::max(worst, difference(ours.hn, reference.hn));
  if (!reference.cn.data.empty()) worst = std::max(worst, difference(ours.cn, reference.cn));
  report.text += "float " + number("%.1e", worst);
  report.expect(worst <= kTolerance, "float differs");
}

/// What an int8 model is judged by: its output, and of an LSTMCell c too, as one list of values.
Tensor judged(const Case& c, const Outputs& outputs) {
  if (c.config.at("kind") != "lstm_cell") return outputs.output;
  std::vector<float> values = outputs.output.data;
  values.insert(values.end(), outputs.cn.data.begin(), outputs.cn.data.end());
  const auto count = static_cast<std::int64_t>(values.size());
  return Tensor(Shape{count}, std::move(values));
}

void check_torch(int bits, const Tensor& ours, const Case& c, const Tensor& reference, Report& report) {
  const Tensor theirs = judged(c, c.reference("qint8_" + std::to_string(bits) + "bit"));
  const double d = difference(ours, theirs), part = noise_part(ours, theirs, reference);
  report.text += "  torch" + std::to_string(bits) + " " + number("%.1e", d) + number(" (noise part %.4f)", part);
  report.expect(d <= kTolerance || part <= kNoisePart, "torch " + std::to_string(bits) + " bit differs");
}

void check_accurate(const Tensor& ours, const Tensor& torch_8_bit, bool is_pytorch, const Tensor& reference,
                    Report& report) {
  const double accurate = sqnr(reference, ours), torch = sqnr(reference, torch_8_bit);
  report.gain = accurate == torch ? 0 : accurate - torch;
  report.text += "  accurate " + number("%.2f dB", accurate) + number(" (torch %.2f dB", torch) +
                 number(", gain %+.2f)", report.gain);
  const bool enough = report.gain >= kLeastGain || (!is_pytorch && accurate >= kEnough);
  report.expect(accurate > -kInfinite && enough, "accurate is worse than torch");
}

Report run_case(const Case& c, const std::vector<const Backend*>& backends) {
  Report report;
  const Outputs reference = c.reference("float");
  const std::vector<Outputs> ours = run_backends(c, backends, report);
  check_float(ours[0], reference, report);
  const Tensor floats = judged(c, reference);
  if (c.torch_mode()) {
    check_torch(8, judged(c, ours[1]), c, floats, report);
    check_torch(7, judged(c, ours[2]), c, floats, report);
  }
  check_accurate(judged(c, ours[3]), judged(c, c.torch_mode() ? c.reference("qint8_8bit") : ours[1]), c.torch_mode(),
                 floats, report);
  return report;
}

struct Totals {
  int passed = 0, failed = 0;
  double gain = 0;
};

void run_file(const std::filesystem::path& path, const std::vector<const Backend*>& backends, Totals& totals) {
  const std::string name = path.stem().string();
  Report report;
  try {
    const Case c = Case::load(path);
    report = run_case(c, backends);
  } catch (const std::exception& e) {
    report = {false, e.what(), 0};
  }
  (report.ok ? totals.passed : totals.failed) += 1;
  totals.gain += report.gain;
  std::printf("%s %-14s %s\n", report.ok ? "ok  " : "FAIL", name.c_str(), report.text.c_str());
  std::fflush(stdout);
}

int run_folder(const char* folder) {
  const std::vector<const Backend*> backends = supported_backends(false);
  std::printf("backends:");
  for (const Backend* backend : backends) std::printf(" %s", backend->name);
  std::printf("\n");
  Totals totals;
  for (const auto& path : case_paths(folder)) run_file(path, backends, totals);
  const int run = totals.passed + totals.failed;
  if (run > 0) std::printf("accurate against torch 8 bit, mean gain: %+.2f dB\n", totals.gain / run);
  std::printf("%d passed, %d failed\n", totals.passed, totals.failed);
  if (totals.passed == 0) std::fprintf(stderr, "torch_conformance: no case of %s passed\n", folder);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: torch_conformance DIR\n");
    return 2;
  }
  try {
    return run_folder(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "torch_conformance: %s\n", e.what());
    return 1;
  }
}
