// torch_conformance DIR: runs every reference case of a folder in float, in the torch scheme with 8 and 7 bits, and in the
// accurate scheme, on every backend this CPU supports, and compares with what PyTorch gave. One line a case, then "N passed, N
// failed".
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
constexpr double kLeastGain = -1;  // dB, accurate against PyTorch's 8 bits

struct Report {
  bool ok = true;
  std::string text;
  double gain = 0;

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

/// Everything that `backends` gives for one case, the first backend's figures; the others must give the same bits.
Report run_case(const Case& c, const std::vector<const Backend*>& backends) {
  Report report;
  const Outputs reference = c.reference("float");
  std::vector<Outputs> first;
  for (const Backend* backend : backends) {
    const Sequential model = c.model(*backend);
    std::vector<Outputs> all = {c.run(model), quantized(c, model, Scheme::torch(c.per_channel(), 8)),
                                quantized(c, model, Scheme::torch(c.per_channel(), 7)), quantized(c, model, Scheme::accurate())};
    if (first.empty()) {
      first = std::move(all);
      continue;
    }
    const char* names[] = {"float", "torch 8 bit", "torch 7 bit", "accurate"};
    for (std::size_t i = 0; i < all.size(); ++i) {
      report.expect(same_outputs(first[i], all[i]),
                    std::string(names[i]) + ": " + backend->name + " gives other bits than " + backends[0]->name);
    }
  }

  double worst = difference(first[0].output, reference.output);
  if (!reference.hn.data.empty()) worst = std::max(worst, difference(first[0].hn, reference.hn));
  if (!reference.cn.data.empty()) worst = std::max(worst, difference(first[0].cn, reference.cn));
  report.text += "float " + number("%.1e", worst);
  report.expect(worst <= kTolerance, "float differs");

  if (c.torch_mode()) {
    for (int bits : {8, 7}) {
      const Tensor& ours = first[bits == 8 ? 1 : 2].output;
      const Tensor theirs = c.reference("qint8_" + std::to_string(bits) + "bit").output;
      const double d = difference(ours, theirs);
      const double part = energy(ours, &theirs) / energy(theirs, &reference.output);
      report.text += "  torch" + std::to_string(bits) + " " + number("%.1e", d) + number(" (noise part %.4f)", d == 0 ? 0 : part);
      report.expect(d <= kTolerance || part <= kNoisePart, "torch " + std::to_string(bits) + " bit differs");
    }
  }
  const Tensor theirs = c.torch_mode() ? c.reference("qint8_8bit").output : first[1].output;
  const double accurate = sqnr(reference.output, first[3].output), torch = sqnr(reference.output, theirs);
  report.gain = accurate == torch ? 0 : accurate - torch;
  report.text +=
      "  accurate " + number("%.2f dB", accurate) + number(" (torch %.2f dB", torch) + number(", gain %+.2f)", report.gain);
  report.expect(report.gain >= kLeastGain, "accurate is worse than torch");
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: torch_conformance DIR\n");
    return 2;
  }
  int passed = 0, failed = 0;
  double gains = 0;
  try {
    const std::vector<const Backend*> backends = supported_backends(false);
    std::printf("backends:");
    for (const Backend* backend : backends) std::printf(" %s", backend->name);
    std::printf("\n");
    for (const auto& path : case_paths(argv[1])) {
      Report report;
      try {
        report = run_case(Case::load(path), backends);
      } catch (const std::exception& e) {
        report = {false, e.what(), 0};
      }
      (report.ok ? passed : failed) += 1;
      gains += report.gain;
      std::printf("%s %-14s %s\n", report.ok ? "ok  " : "FAIL", path.stem().c_str(), report.text.c_str());
      std::fflush(stdout);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "torch_conformance: %s\n", e.what());
    return 1;
  }
  if (passed + failed == 0) {
    std::fprintf(stderr, "torch_conformance: no .safetensors file in %s\n", argv[1]);
    return 1;
  }
  std::printf("accurate against torch 8 bit, mean gain: %+.2f dB\n", gains / (passed + failed));
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
