#include <bytegate/version.h>

namespace bytegate {

const char* version() noexcept { return BYTEGATE_VERSION_STRING; }

}  // namespace bytegate
