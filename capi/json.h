// Text as JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bytegate::capi {

/// JSON that grows by one member or item after the other, with the commas between them.
class Json {
 public:
  explicit Json(const char* begin = "") : text(begin) {}

  /// The text in quotes: valid JSON for any bytes, with question marks for what is not UTF-8.
  void quote(std::string_view value);
  /// A member's name; its value follows.
  void name(std::string_view key);
  void put(std::string_view key, std::string_view value);
  void put(std::string_view key, std::size_t value);
  /// `json` is JSON, all of it or its beginning.
  void put_json(std::string_view key, std::string_view json);
  /// A comma where an item or a member follows another.
  void separate();

  std::string text;
};

}  // namespace bytegate::capi
