#pragma once

#include <bytegate/backends.h>

#include <string_view>

namespace bytegate::dispatch {

/// The backends built in; ends with null. Generated from the folders of backends/ (cmake/backends.cmake): listed
/// explicitly, since the linker drops archive members that nothing refers to, so that registration by static objects
/// would not work.
extern const Backend* const kBuiltinBackends[];

/// register_backend, with messages that begin with `origin`.
void add_backend(const Backend* backend, std::string_view origin);

}  // namespace bytegate::dispatch
