// The list of backends built in, generated from the folders of backends/ (cmake/backends.cmake): a static archive drops objects
// that nobody names.
#pragma once

#include <bytegate/backends.h>

namespace bytegate::dispatch {

extern const Backend* const kBuiltinBackends[];  ///< ends with null

}  // namespace bytegate::dispatch
