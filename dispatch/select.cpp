#include "dispatch/select.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace bytegate {
namespace {

constexpr std::array<std::pair<CpuFeatures, const char*>, 13> kFeatureNames = {{
    {cpu_feature::avx2, "avx2"},
    {cpu_feature::fma3, "fma3"},
    {cpu_feature::avxvnni, "avxvnni"},
    {cpu_feature::avx512f, "avx512f"},
    {cpu_feature::avx512bw, "avx512bw"},
    {cpu_feature::avx512dq, "avx512dq"},
    {cpu_feature::avx512vl, "avx512vl"},
    {cpu_feature::avx512vnni, "avx512vnni"},
    {cpu_feature::neon, "neon"},
    {cpu_feature::dotprod, "dotprod"},
    {cpu_feature::i8mm, "i8mm"},
    {cpu_feature::amx_tile, "amx_tile"},
    {cpu_feature::amx_int8, "amx_int8"},
}};

/// What keeps a backend from running on a CPU with `features`; empty if nothing does. Features are called needed, not
/// lacking: detection finds what the CPU has and the operating system allows, and cannot say which of the two is
/// missing.
std::string missing_for(const Backend& backend, CpuFeatures features) {
  const CpuFeatures missing = backend.required & ~features;
  if ((missing & ~cpu_feature::all) != 0) return "features that this library does not know";
  if (missing != 0) return feature_names(missing);
  const char* unmet = backend.unmet ? backend.unmet() : nullptr;
  return unmet ? unmet : "";
}

std::string states(const std::vector<BackendInfo>& candidates) {
  std::string text;
  for (const BackendInfo& info : candidates) {
    text += text.empty() ? "" : ", ";
    text += info.backend->name;
    text += info.supported ? " (supported)" : " (unsupported: it needs " + info.missing + ")";
  }
  return text;
}

bool valid_layout(const PackedLayout& l) {
  return l.panel_channels > 0 && l.panel_channels % 4 == 0 && l.block_channels > 0 &&
         l.panel_channels % l.block_channels == 0 && l.kr > 0 && l.k_block > 0 && l.k_block % l.kr == 0 &&
         64 % l.k_block == 0;
}

bool valid_geometry(const Kernels& k, std::uint32_t rhs_size) {
  return k.mr > 0 && valid_layout(k.layout) && k.lhs_size > 0 && k.lhs_size <= 8 && k.rhs_size == rhs_size &&
         (k.sum_format == SumFormat::plain || k.sum_format == SumFormat::pair);
}

bool has_functions(const Kernels& k) {
  return k.find_ranges && k.stage_rows && k.gemm && k.recurrent_step[static_cast<std::size_t>(Cell::lstm)];
}

bool valid_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && std::ranges::all_of(name, allowed) && name != "auto";
}

/// The rule of backend.h that a table breaks; null if it keeps them all.
const char* broken_rule(const Backend& backend) {
  if (!backend.description) return "it has a null description";
  if (!backend.kernels) return "it has no kernels";
  const BackendKernels& k = *backend.kernels;
  if (!k.int8 || !k.f32) return "it lacks the kernels of int8 or of float weights";
  if (!valid_geometry(*k.int8, 1) || !valid_geometry(*k.f32, 4)) {
    return "its geometry cannot be packed; expected mr >= 1, panel_channels a multiple of 4, block_channels a divisor "
           "of that, k_block a divisor of 64, kr a divisor of k_block, lhs_size 1 to 8, rhs_size 1 (int8) and 4 (f32), "
           "and sum_format plain or pair";
  }
  if (!has_functions(*k.int8) || !has_functions(*k.f32) || !k.sigmoid || !k.tanh) {
    return "it lacks a function; expected find_ranges, stage_rows, gemm and the recurrent_step of lstm (int8 and f32), "
           "sigmoid "
           "and tanh";
  }
  return k.int4 ? "it has kernels for weights of 4 bits, which this library does not pack" : nullptr;
}

/// The same, and which version of backend.h it was built with, as a sentence; empty if the backend may be used.
std::string problem_of(const Backend* backend) {
  if (!backend) return "the backend is null";
  if (backend->abi != kBackendAbi || backend->size != sizeof(Backend) ||
      backend->kernels_size != sizeof(BackendKernels)) {
    char text[160];
    std::snprintf(
        text, sizeof text,
        "the backend was built for abi %u with structs of %u and %u bytes, this library has abi %u with %u and %u",
        backend->abi, backend->size, backend->kernels_size, kBackendAbi, static_cast<unsigned>(sizeof(Backend)),
        static_cast<unsigned>(sizeof(BackendKernels)));
    return text;
  }
  const std::string name = backend->name ? backend->name : "";
  if (!valid_name(name))
    return detail::join_text({"the name '", name, "' is not one or more of a-z, 0-9 and _, other than auto"});
  const char* rule = broken_rule(*backend);
  return rule ? "'" + name + "': " + rule : "";
}

[[noreturn]] void fail(ErrorCode code, std::string_view origin, detail::TextParts message) {
  detail::throw_error(code, {origin, ": ", detail::join_text(message)});
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

std::vector<BackendInfo> rank_backends(CpuFeatures features, std::span<const Backend* const> registry) {
  std::vector<BackendInfo> infos;
  for (const Backend* backend : registry) {
    std::string missing = missing_for(*backend, features);
    const bool supported = missing.empty();
    const auto place = std::ranges::find_if(
        infos, [&](const BackendInfo& info) { return info.backend->priority < backend->priority; });
    infos.insert(place, {backend, supported, std::move(missing)});
  }
  return infos;
}

const Backend& select(CpuFeatures features, std::span<const Backend* const> registry, std::string_view wanted,
                      std::string_view origin) {
  for (const Backend* backend : registry) {
    if (wanted == backend->name && missing_for(*backend, features).empty()) return *backend;
  }
  const std::vector<BackendInfo> candidates = rank_backends(features, registry);
  const bool automatic = wanted.empty() || wanted == "auto";
  for (const BackendInfo& info : candidates) {
    if (automatic && info.supported) return *info.backend;
    if (wanted == info.backend->name) {
      fail(ErrorCode::unsupported_backend, origin,
           {"the backend '", wanted, "' cannot run here. Backends: ", states(candidates)});
    }
  }
  if (automatic)
    fail(ErrorCode::unsupported_backend, origin, {"no backend can run here. Backends: ", states(candidates)});
  fail(ErrorCode::unknown_backend, origin,
       {"there is no backend '", wanted, "'. Accepted: auto or a name. Backends: ", states(candidates)});
}

void validate_backend(const Backend* backend, std::string_view origin) {
  const std::string problem = problem_of(backend);
  if (!problem.empty()) fail(ErrorCode::invalid_argument, origin, {problem});
}

void validate_unique(const Backend& backend, std::span<const Backend* const> registry, std::string_view origin) {
  for (const Backend* other : registry) {
    if (std::string_view(backend.name) == other->name)
      fail(ErrorCode::invalid_argument, origin, {"the name '", backend.name, "' is taken"});
  }
}

void validate_support(const Backend& backend, CpuFeatures features, std::string_view origin) {
  const std::string missing = missing_for(backend, features);
  if (missing.empty()) return;
  fail(ErrorCode::unsupported_backend, origin,
       {"the backend '", backend.name, "' cannot run here; it needs ", missing});
}

}  // namespace dispatch
}  // namespace bytegate
