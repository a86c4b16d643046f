#include "tests/support/stand_ins.h"

#include <deque>
#include <stdexcept>
#include <string>

#ifdef __x86_64__
#include "tests/support/trap.h"
#endif

namespace bytegate::testing {
namespace {

/// A part of the signal handler: the features of which it carries out the instructions.
struct Trap {
  CpuFeatures features;
  const char* (*unmet)();  ///< null if the CPU has none of them and the handler works, which is installed then
};

constexpr CpuFeatures kAvxVnni = cpu_feature::avxvnni;
constexpr CpuFeatures kAmx = cpu_feature::amx_tile | cpu_feature::amx_int8;

const Trap kTraps[] = {
#ifdef __x86_64__
    {kAvxVnni,
     [] {
       return (cpu_features() & kAvxVnni) == 0 && trap_avxvnni()
                  ? nullptr
                  : "a CPU without AVX-VNNI whose signal frames hold whole registers";
     }},
    {kAmx, [] { return (cpu_features() & kAmx) == 0 && trap_amx() ? nullptr : "a CPU without AMX"; }},
#endif
    {0, nullptr}};

const Trap& trap_for(const StandIn& stand_in) {
  for (const Trap& trap : kTraps) {
    if ((stand_in.original->required & trap.features) != 0) return trap;
  }
  throw std::logic_error(std::string(stand_in.name) + " requires no feature that tests/support/trap.h carries out");
}

}  // namespace

const std::vector<Backend>& stand_ins() {
  static std::deque<std::string> descriptions;  // which the descriptors point to
  static const std::vector<Backend> backends = [] {
    std::vector<Backend> made;
    for (const StandIn* s = kStandIns; s->name; ++s) {
      const Trap& trap = trap_for(*s);
      descriptions.push_back(std::string(s->original->name) + ", some instructions by a signal handler, for tests");
      made.push_back({.priority = -100,
                      .name = s->name,
                      .description = descriptions.back().c_str(),
                      .required = s->original->required & ~trap.features,
                      .unmet = trap.unmet,
                      .kernels = s->original->kernels});
    }
    return made;
  }();
  return backends;
}

}  // namespace bytegate::testing
