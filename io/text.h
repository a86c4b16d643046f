// Words for error messages.
#pragma once

#include <bytegate/error.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bytegate::detail {

/// Two hexadecimal digits.
std::string hex(unsigned char byte);

/// Text from a file, safe to print: control characters escaped, cut after 100 bytes.
std::string printable(std::string_view text);

/// The same between quotes, for names.
std::string in_quotes(std::string_view text);

/// "[2, 3]"
std::string list_text(std::span<const std::int64_t> values);

/// "a, b, c"; after `most` names "and 7 more".
std::string names_text(std::span<const std::string> names, std::size_t most = 8);

/// Throws Error(bad_file) with "what: message".
[[noreturn]] void fail_bad_file(const std::string& what, const std::string& message);

}  // namespace bytegate::detail
