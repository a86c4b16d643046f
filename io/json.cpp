#include "io/json.h"

#include <set>
#include <vector>

#include "io/text.h"

namespace bytegate::detail {
namespace {

// The tree takes some 20 times the text's memory, so both are bounded; real architectures have a few thousand bytes.
constexpr std::size_t kMaxText = std::size_t{1} << 20;
constexpr int kMaxDepth = 16;

}  // namespace

nlohmann::json parse_json(const std::string& text, const std::string& what) {
  if (text.size() > kMaxText) {
    fail_bad_file(what, std::to_string(text.size()) + " bytes of JSON; at most " + std::to_string(kMaxText) + " are accepted");
  }
  if (text.find('\0') != std::string::npos) fail_bad_file(what, "a zero byte in the JSON");
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxDepth) fail_bad_file(what, "nested more than " + std::to_string(kMaxDepth) + " deep");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      fail_bad_file(what, "the key " + in_quotes(parsed.get<std::string>()) + " appears twice in one object");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {
    fail_bad_file(what, "not valid JSON: " + printable(json_problem(error)));
  }
}

std::string dump_json(const nlohmann::ordered_json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::ordered_json::exception&) {
    // Escapes what is wrong, so that the message itself can be printed.
    const std::string shown = value.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
    throw Error(ErrorCode::invalid_argument,
                "the text " + printable(shown) + " is not valid UTF-8, which safetensors files need");
  }
}

std::string json_problem(const nlohmann::json::exception& error) {
  std::string text = error.what();
  if (const std::size_t colon = text.find(": "); colon != std::string::npos) text.erase(0, colon + 2);
  return text;
}

}  // namespace bytegate::detail
