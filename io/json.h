// JSON as the library's files use it. nlohmann/json does the work, in json.cpp alone: its templates take a hundred
// kilobytes a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::detail {

/// Receives a text piece by piece; may throw to end it.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  /// `whole`: the value of an integer from 0 to 2^64 - 1; `text`: the number in decimal.
  virtual void number(std::optional<std::uint64_t> whole, std::string_view text) = 0;
  virtual void string(std::string value) = 0;
  virtual void start_object() = 0;
  virtual void key(std::string name) = 0;
  virtual void end_object() = 0;
  virtual void start_array() = 0;
  virtual void end_array() = 0;
  /// At a byte of the text; does not return.
  [[noreturn]] virtual void syntax_error(std::size_t position, const std::string& problem) = 0;
};

/// The longest text that parse_json takes. The tree takes some 20 times the text's memory, so both are bounded; real
/// architectures have a few thousand bytes.
inline constexpr std::size_t kMaxJsonText = std::size_t{1} << 20;

void read_json(std::string_view text, JsonEvents& events);

struct JsonValue {
  enum class Kind { null, boolean, number, string, array, object };

  Kind kind = Kind::null;
  bool truth = false;                  ///< of a boolean
  std::optional<std::uint64_t> whole;  ///< as in JsonEvents::number
  std::string text;                    ///< of a string or number
  std::vector<std::string> keys;       ///< of an object, one an item
  std::vector<JsonValue> items;        ///< of an array or object

  /// "null", "boolean", "number", "string", "array", "object"
  const char* kind_name() const;
  /// The item of that key; null if there is none.
  const JsonValue* find(std::string_view key) const;
};

/// Strict, shallow, no key twice, else throws Error (bad_file) that begins with `what`, which names the text, such as
/// "a.safetensors: the architecture".
JsonValue parse_json(const std::string& text, const std::string& what);

/// JSON of the value, in one line.
std::string to_json(const JsonValue& value);

/// The text in quotes, escaped where JSON needs it. Throws Error (invalid_argument) if it is not UTF-8.
std::string json_string(const std::string& text);

}  // namespace bytegate::detail
