#include "io/text.h"

#include <algorithm>

namespace bytegate::detail {

std::string hex(unsigned char byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return {kDigits[byte >> 4], kDigits[byte & 15]};
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 100;
  std::string out;
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x" + hex(byte);
    } else {
      out += c;
    }
  }
  if (text.size() > kMost) out += "...";
  return out;
}

std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

std::string list_text(std::span<const std::int64_t> values) {
  constexpr std::size_t kMost = 16;
  std::string out = "[";
  for (std::size_t i = 0; i < std::min(kMost, values.size()); ++i)
    out += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  if (values.size() > kMost) out += ", and " + std::to_string(values.size() - kMost) + " more";
  return out + "]";
}

std::string names_text(std::span<const std::string> names, std::size_t most) {
  std::string out;
  for (const std::string& name : names.first(std::min(most, names.size())))
    out += (out.empty() ? "" : ", ") + in_quotes(name);
  if (names.size() > most) out += " and " + std::to_string(names.size() - most) + " more";
  return out;
}

void fail_bad_file(const std::string& what, const std::string& message) {
  throw Error(ErrorCode::bad_file, what + ": " + message);
}

}  // namespace bytegate::detail
