#include "io/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "io/text.h"

namespace bytegate::detail {
namespace {

/// A type of this file, so that what the parser's templates make of it is the file's own: other files cannot share it,
/// and the linker need not know its names. (g++ does not see that of a template, such as a serializer.)
struct Binary : std::vector<std::uint8_t> {};
using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, double,
                                  std::allocator, nlohmann::adl_serializer, Binary>;

constexpr std::size_t kMaxDepth = 16;

/// The part of a parser's message that helps: "[json.exception...] parse error at line 1, column 9: this".
std::string problem_of(const nlohmann::detail::exception& error) {
  std::string text = error.what();
  if (const std::size_t colon = text.find(": "); colon != std::string::npos) text.erase(0, colon + 2);
  return printable(text);
}

/// From the parser's events to ours.
class Relay {
 public:
  explicit Relay(JsonEvents& to) : to_(to) {}

  bool null() { return to_.null(), true; }
  bool boolean(bool value) { return to_.boolean(value), true; }
  bool number_integer(Json::number_integer_t value) { return to_.number(std::nullopt, std::to_string(value)), true; }
  bool number_unsigned(Json::number_unsigned_t value) { return to_.number(value, std::to_string(value)), true; }
  bool number_float(Json::number_float_t, const std::string& text) { return to_.number(std::nullopt, text), true; }
  bool string(std::string& value) { return to_.string(std::move(value)), true; }
  bool binary(Json::binary_t&) { return false; }  // not in text
  bool start_object(std::size_t) { return to_.start_object(), true; }
  bool key(std::string& name) { return to_.key(std::move(name)), true; }
  bool end_object() { return to_.end_object(), true; }
  bool start_array(std::size_t) { return to_.start_array(), true; }
  bool end_array() { return to_.end_array(), true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    to_.syntax_error(position, problem_of(error));
    return false;
  }

 private:
  JsonEvents& to_;
};

class TreeBuilder : public JsonEvents {
 public:
  explicit TreeBuilder(const std::string& what) : what_(what) {}

  JsonValue take() { return std::move(root_); }

  void null() override { put({}); }
  void boolean(bool value) override {
    JsonValue v = of_kind(JsonValue::Kind::boolean);
    v.truth = value;
    put(std::move(v));
  }
  void number(std::optional<std::uint64_t> whole, std::string_view text) override {
    JsonValue v = of_kind(JsonValue::Kind::number);
    v.whole = whole;
    v.text = text;
    put(std::move(v));
  }
  void string(std::string value) override {
    JsonValue v = of_kind(JsonValue::Kind::string);
    v.text = std::move(value);
    put(std::move(v));
  }
  void start_object() override { open(JsonValue::Kind::object); }
  void key(std::string name) override {
    if (!open_.back().names.insert(name).second)
      fail_bad_file(what_, {"the key ", in_quotes(name), " appears twice in one object"});
    open_.back().value.keys.push_back(std::move(name));
  }
  void end_object() override { close(); }
  void start_array() override { open(JsonValue::Kind::array); }
  void end_array() override { close(); }
  [[noreturn]] void syntax_error(std::size_t, const std::string& problem) override {
    fail_bad_file(what_, {"not valid JSON: ", problem});
  }

 private:
  struct Open {
    JsonValue value;
    std::set<std::string> names;
  };

  static JsonValue of_kind(JsonValue::Kind kind) {
    JsonValue value;
    value.kind = kind;
    return value;
  }
  void open(JsonValue::Kind kind) {
    if (open_.size() > kMaxDepth) fail_bad_file(what_, {"nested more than ", kMaxDepth, " deep"});
    open_.push_back({of_kind(kind), {}});
  }
  void close() {
    JsonValue value = std::move(open_.back().value);
    open_.pop_back();
    put(std::move(value));
  }
  void put(JsonValue value) { (open_.empty() ? root_ : open_.back().value.items.emplace_back()) = std::move(value); }

  const std::string& what_;
  std::vector<Open> open_;
  JsonValue root_;
};

}  // namespace

void read_json(std::string_view text, JsonEvents& events) {
  Relay relay(events);
  Json::sax_parse(text.begin(), text.end(), &relay);
}

const char* JsonValue::kind_name() const {
  static constexpr const char* names[] = {"null", "boolean", "number", "string", "array", "object"};
  return names[static_cast<std::size_t>(kind)];
}

const JsonValue* JsonValue::find(std::string_view key) const {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return &items[i];
  }
  return nullptr;
}

JsonValue parse_json(const std::string& text, const std::string& what) {
  if (text.size() > kMaxJsonText) {
    fail_bad_file(what, {text.size(), " bytes of JSON; at most ", kMaxJsonText, " are accepted"});
  }
  if (text.find('\0') != std::string::npos) fail_bad_file(what, {"a zero byte in the JSON"});
  TreeBuilder builder(what);
  read_json(text, builder);
  return builder.take();
}

std::string to_json(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::null:
      return "null";
    case JsonValue::Kind::boolean:
      return value.truth ? "true" : "false";
    case JsonValue::Kind::number:
      return value.text;
    case JsonValue::Kind::string:
      return json_string(value.text);
    case JsonValue::Kind::array:
    case JsonValue::Kind::object:
      break;
  }
  const bool object = value.kind == JsonValue::Kind::object;
  std::string out;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) out += ',';
    if (object) append_text(out, {json_string(value.keys[i]), ":"});
    out += to_json(value.items[i]);
  }
  return join_text({object ? "{" : "[", out, object ? "}" : "]"});
}

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    static constexpr std::string_view kShort = "\b\f\n\r\t\"\\", kLetters = "bfnrt\"\\";
    if (const std::size_t i = kShort.find(c); i != kShort.npos) {
      out += {'\\', kLetters[i]};
    } else if (byte < 0x20) {
      constexpr char kDigits[] = "0123456789abcdef";
      const char escaped[] = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 15]};
      out.append(escaped, sizeof escaped);
    } else {
      out += c;
    }
  }
  out += '"';
  try {
    TreeBuilder reader(text);
    read_json(out, reader);
  } catch (const Error&) {
    std::string ascii = text;
    std::ranges::replace_if(
        ascii, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    throw_error(ErrorCode::invalid_argument,
                {"the text ", in_quotes(ascii), " is not valid UTF-8, which safetensors files need"});
  }
  return out;
}

}  // namespace bytegate::detail
