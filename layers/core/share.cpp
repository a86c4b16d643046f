#include "layers/core/share.h"

namespace bytegate::detail {

std::shared_ptr<const void> own(const void* object, void (*destroy)(const void* object)) { return {object, destroy}; }

}  // namespace bytegate::detail
