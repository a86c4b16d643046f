#include "dispatch/select.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bytegate {
namespace {

constexpr std::array<std::pair<CpuFeatures, const char*>, 11> kFeatureNames = {{
    {kAvx2, "avx2"},
    {kFma3, "fma3"},
    {kAvxVnni, "avxvnni"},
    {kAvx512F, "avx512f"},
    {kAvx512Bw, "avx512bw"},
    {kAvx512Dq, "avx512dq"},
    {kAvx512Vl, "avx512vl"},
    {kAvx512Vnni, "avx512vnni"},
    {kNeon, "neon"},
    {kDotProd, "dotprod"},
    {kI8mm, "i8mm"},
}};

std::string states(const std::vector<BackendInfo>& candidates) {
  std::string text;
  for (const BackendInfo& info : candidates) {
    text += text.empty() ? "" : ", ";
    text += info.backend->name;
    text += info.supported ? " (supported)" : " (unsupported: the CPU lacks " + info.missing + ")";
  }
  return text;
}

void require(bool condition, const std::string& message) {
  if (!condition) throw Error(ErrorCode::invalid_argument, "register_backend: " + message);
}

bool complete(const Kernels& k, std::uint32_t rhs_size) {
  return k.mr > 0 && k.nr > 0 && k.nr % 4 == 0 && k.nb > 0 && k.nr % k.nb == 0 && k.kr > 0 && k.kr <= 64 && k.lhs_size > 0 && k.rhs_size == rhs_size &&
         k.splits_minus_128 <= 1 && k.find_ranges && k.stage_rows && k.gemm && k.lstm_step;
}

}  // namespace

std::string feature_names(CpuFeatures features) {
  std::string text;
  for (const auto& [bit, name] : kFeatureNames) {
    if ((features & bit) == 0) continue;
    text += text.empty() ? "" : ", ";
    text += name;
  }
  return text;
}

namespace dispatch {

std::vector<BackendInfo> assess(CpuFeatures features, std::span<const Backend* const> registry) {
  std::vector<BackendInfo> infos;
  for (const Backend* backend : registry) {
    std::string missing = feature_names(backend->required & ~features);
    if (missing.empty() && backend->supported && !backend->supported()) missing = "what its own check asks for";
    const auto place = std::ranges::find_if(infos, [&](const BackendInfo& info) { return info.backend->priority < backend->priority; });
    infos.insert(place, {backend, missing.empty(), missing});
  }
  return infos;
}

const Backend& select(const std::vector<BackendInfo>& candidates, std::string_view wanted, std::string_view origin) {
  const bool automatic = wanted.empty() || wanted == "auto";
  for (const BackendInfo& info : candidates) {
    if (automatic ? info.supported : wanted == info.backend->name) {
      if (info.supported) return *info.backend;
      throw Error(ErrorCode::unsupported_backend, std::string(origin) + ": this CPU cannot run the backend '" + std::string(wanted) +
                                                      "'. Backends: " + states(candidates));
    }
  }
  if (automatic) throw Error(ErrorCode::unsupported_backend, "no backend runs on this CPU. Backends: " + states(candidates));
  throw Error(ErrorCode::unknown_backend, std::string(origin) + ": there is no backend '" + std::string(wanted) +
                                              "'. Accepted: auto or a name. Backends: " + states(candidates));
}

void check(const Backend* backend, std::span<const Backend* const> registry) {
  require(backend != nullptr, "null");
  require(backend->abi == kBackendAbi, "built for abi " + std::to_string(backend->abi) + ", this library has " + std::to_string(kBackendAbi));
  require(backend->size == sizeof(Backend),
          "a struct of " + std::to_string(backend->size) + " bytes, this library's Backend has " + std::to_string(sizeof(Backend)));
  require(backend->name && *backend->name, "a backend needs a name");
  const std::string name = backend->name;
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  require(std::all_of(name.begin(), name.end(), allowed) && name != "auto",
          "the name '" + name + "' is not one or more of a-z, 0-9 and _, other than auto");
  for (const Backend* other : registry) require(name != other->name, "the name '" + name + "' is taken");
  require(backend->description != nullptr, "'" + name + "' has a null description");
  require(backend->kernels && complete(backend->kernels->int8, 1) && complete(backend->kernels->f32, 4) && backend->kernels->sigmoid &&
              backend->kernels->tanh,
          "'" + name + "' lacks a function, or its geometry is not mr >= 1, nr a multiple of 4, kr 1..64, rhs_size 1 (int8) and 4 (f32)");
}

}  // namespace dispatch
}  // namespace bytegate
