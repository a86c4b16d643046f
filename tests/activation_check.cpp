// bytegate_activation_check [BACKEND]: sigmoid and tanh of a backend (default: the best) for each of the 2^32 floats
// against double precision. Prints the largest errors; exit code 1 if a rule is broken (support/activation_errors.h).
// Takes some minutes.
#include <bytegate/backends.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/support/activation_errors.h"
#include "tests/support/backends.h"

namespace {

using namespace bytegate;
using namespace bytegate::testing;

constexpr std::uint64_t kFloats = std::uint64_t{1} << 32, kBlock = 1 << 16;

ActivationReport check_all(const Backend& backend, Activation activation) {
  std::atomic<std::uint64_t> next{0};
  std::vector<ActivationReport> reports(std::max(1u, std::thread::hardware_concurrency()));
  const auto work = [&](ActivationReport& report) {
    for (std::uint64_t first; (first = next.fetch_add(kBlock)) < kFloats;) {
      report.add(check_activation(backend, activation, floats_from(first, 1, kBlock)));
    }
  };
  std::vector<std::thread> threads;
  for (ActivationReport& report : reports) threads.emplace_back(work, std::ref(report));
  for (std::thread& thread : threads) thread.join();
  ActivationReport sum;
  for (const ActivationReport& report : reports) sum.add(report);
  return sum;
}

int run(const Backend& backend) {
  bool ok = true;
  for (Activation activation : {Activation::sigmoid, Activation::tanh}) {
    const ActivationReport report = check_all(backend, activation);
    std::printf("%s %s: %llu floats, largest error %.3g at %.9g, %llu failures%s%s\n", backend.name,
                activation == Activation::tanh ? "tanh" : "sigmoid", static_cast<unsigned long long>(report.checked),
                report.worst, static_cast<double>(report.worst_at), static_cast<unsigned long long>(report.failures),
                report.failures > 0 ? ", the first: " : "", report.first_failure.c_str());
    std::fflush(stdout);
    ok = ok && report.failures == 0 && report.checked == kFloats;
  }
  return ok ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2) {
    std::fprintf(stderr, "usage: bytegate_activation_check [BACKEND]\n");
    return 2;
  }
  try {
    register_stand_ins();
    return run(argc == 2 ? find_backend(argv[1]) : default_backend());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bytegate_activation_check: %s\n", e.what());
    return 1;
  }
}
