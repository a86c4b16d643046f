#include "io/text.h"

#include <algorithm>

namespace bytegate::detail {

std::string names_text(std::span<const std::string> names, std::size_t most) {
  std::string out;
  for (const std::string& name : names.first(std::min(most, names.size())))
    append_text(out, {out.empty() ? "" : ", ", in_quotes(name)});
  if (names.size() > most) append_text(out, {" and ", names.size() - most, " more"});
  return out;
}

void fail_bad_file(const std::string& what, TextParts message) {
  throw_error(ErrorCode::bad_file, {what, ": ", join_text(message)});
}

}  // namespace bytegate::detail
