// The choice of a backend as a pure function.
#pragma once

#include <bytegate/backends.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::dispatch {

/// What each backend is to a CPU with `features`, best (highest priority) first; equals keep their order.
std::vector<BackendInfo> assess(CpuFeatures features, std::span<const Backend* const> registry);

/// The backend that `wanted` names; empty or "auto": the first supported one of `candidates` (as assess returns them). Throws Error
/// (unknown_backend, unsupported_backend). `origin` says in the message where the name came from.
const Backend& select(const std::vector<BackendInfo>& candidates, std::string_view wanted, std::string_view origin);

/// Throws Error (invalid_argument) if the table breaks the rules of backend.h or its name is taken in `registry`.
void check(const Backend* backend, std::span<const Backend* const> registry);

}  // namespace bytegate::dispatch
