// The choice of a backend, and what a backend must be, as functions without state.
#pragma once

#include <bytegate/backends.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::dispatch {

/// The state of each backend on a CPU with `features`, best (highest priority) first; equal priorities keep their
/// order.
std::vector<BackendInfo> rank_backends(CpuFeatures features, std::span<const Backend* const> registry);

/// The backend that `wanted` names; empty or "auto": the first supported one of rank_backends. Throws Error
/// (unknown_backend, unsupported_backend). `origin` says in the message where the name came from. A name that can run
/// asks no other backend for its unmet(): that of amx asks the kernel for tile registers.
const Backend& select(CpuFeatures features, std::span<const Backend* const> registry, std::string_view wanted,
                      std::string_view origin);

/// Throws Error (invalid_argument) if the backend is null or breaks the rules of backend.h. Messages begin with
/// `origin`.
void validate_backend(const Backend* backend, std::string_view origin);
/// Throws Error (invalid_argument) if a backend of that name is in `registry`.
void validate_unique(const Backend& backend, std::span<const Backend* const> registry, std::string_view origin);
/// Throws Error (unsupported_backend) if a CPU with `features` cannot run it.
void validate_support(const Backend& backend, CpuFeatures features, std::string_view origin);

}  // namespace bytegate::dispatch
