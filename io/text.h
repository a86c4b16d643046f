// Words for error messages.
#pragma once

#include <bytegate/error.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bytegate::detail {

/// The name between quotes, as TextPart::quoted. Refers to `text`.
inline TextPart in_quotes(std::string_view text) { return TextPart::quoted(text); }

/// "[2, 3]", as TextPart::list. Refers to `values`.
inline TextPart list_text(std::span<const std::int64_t> values) { return TextPart::list(values); }

/// "a, b, c"; after `most` names "and 7 more".
std::string names_text(std::span<const std::string> names, std::size_t most = 8);

/// Throws Error(bad_file) with "what: message".
[[noreturn, gnu::cold]] void fail_bad_file(const std::string& what, TextParts message);

}  // namespace bytegate::detail
