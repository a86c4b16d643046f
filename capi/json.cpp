#include "capi/json.h"

#include <bytegate/error.h>

namespace bytegate::capi {
namespace {

/// How many bytes of text, which begins with one above 0x7f, are one character of UTF-8; 0 if they are none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0), second = byte(1);
  const std::size_t length = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool too_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool no_character = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return too_long || no_character ? 0 : length;
}

}  // namespace

void Json::quote(std::string_view value) {
  constexpr char kDigits[] = "0123456789abcdef";
  text += '"';
  while (!value.empty()) {
    const auto byte = static_cast<unsigned char>(value[0]);
    std::size_t length = byte < 0x80 ? 1 : utf8_length(value);
    if (byte < 0x20 || byte == '"' || byte == '\\') {
      const char escaped[] = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 15]};
      text.append(escaped, sizeof escaped);
    } else if (length != 0) {
      text.append(value.data(), length);
    } else {
      text += '?';
      length = 1;
    }
    value.remove_prefix(length);
  }
  text += '"';
}

void Json::separate() {
  const char last = text.empty() ? '{' : text.back();
  if (last != '{' && last != '[') text += ',';
}

void Json::name(std::string_view key) {
  separate();
  quote(key);
  text += ':';
}

void Json::put(std::string_view key, std::string_view value) {
  name(key);
  quote(value);
}

void Json::put(std::string_view key, std::size_t value) {
  name(key);
  detail::append_text(text, {value});
}

void Json::put_json(std::string_view key, std::string_view json) {
  name(key);
  text.append(json.data(), json.size());
}

}  // namespace bytegate::capi
