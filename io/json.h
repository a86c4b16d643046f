// JSON as the library's files use it: strict, shallow, no key twice.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bytegate::detail {

/// Throws Error (bad_file) that begins with `what`, which names the text, such as "a.safetensors: the architecture".
nlohmann::json parse_json(const std::string& text, const std::string& what);

/// Compact, keys in the order they were added. Throws Error (invalid_argument) for a string that is not UTF-8.
std::string dump_json(const nlohmann::ordered_json& value);

/// The part of a parser's message that helps: "[json.exception...] parse error at line 1, column 9: this".
std::string json_problem(const nlohmann::json::exception& error);

}  // namespace bytegate::detail
