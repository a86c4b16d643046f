// Errors: every failure of the library is one exception type with a code and a sentence.
#pragma once

#include <bytegate/config.h>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace bytegate {

enum class ErrorCode {
  invalid_argument,     ///< a value outside what the call accepts (sizes, options, null pointers)
  shape_mismatch,       ///< a tensor whose shape is not the one expected
  unknown_backend,      ///< no backend of that name is registered
  unsupported_backend,  ///< the backend exists and this CPU cannot run it
  bad_file,             ///< a file that breaks its format
  io_error,             ///< the operating system refused to open, read or write
};

namespace detail {

/// One part of a message: a text, a number or a list of integers. Refers to the text or list and owns nothing, so
/// that code that passes an array of parts to one of the functions below is small.
class TextPart {
 public:
  TextPart(const char* text) : data_(text), value_(kTerminated), kind_(Kind::text) {}
  TextPart(const std::string& text) : TextPart(std::string_view(text)) {}
  TextPart(std::string_view text) : TextPart(text, Kind::text) {}
  template <std::integral Integer>
  requires(!std::same_as<Integer, char> && !std::same_as<Integer, bool>) TextPart(Integer value)
      : value_(static_cast<std::uint64_t>(value)),
        kind_(std::signed_integral<Integer> ? Kind::signed_number : Kind::unsigned_number) {}
  /// The shortest decimal number that reads as this one, with a point or an exponent: "1.0", "1e-05".
  TextPart(double value) : value_(std::bit_cast<std::uint64_t>(value)), kind_(Kind::real_number) {}
  TextPart(char) = delete;
  TextPart(bool) = delete;

  /// The text between quotes, safe to print: control characters escaped, cut after 100 bytes.
  static TextPart quoted(std::string_view text) { return {text, Kind::quoted}; }
  /// "[2, 3]"; after 16 values "and 7 more".
  static TextPart list(std::span<const std::int64_t> values) { return {values.data(), values.size(), Kind::list}; }

  void append_to(std::string& out) const;

 private:
  enum class Kind { text, quoted, list, signed_number, unsigned_number, real_number };
  static constexpr std::uint64_t kTerminated = ~std::uint64_t{0};

  TextPart(std::string_view text, Kind kind) : TextPart(text.data(), text.size(), kind) {}
  TextPart(const void* data, std::size_t size, Kind kind) : data_(data), value_(size), kind_(kind) {}

  const void* data_ = nullptr;
  std::uint64_t value_;  ///< a number, or the size of what data_ points to
  Kind kind_;
};

using TextParts = std::initializer_list<TextPart>;

[[gnu::cold]] std::string join_text(TextParts parts);
[[gnu::cold]] void append_text(std::string& out, TextParts parts);
/// Text from a file, safe to print: control characters escaped, cut after 100 bytes.
std::string printable(std::string_view text);
/// Throws Error with the joined parts.
[[noreturn, gnu::cold]] void throw_error(ErrorCode code, TextParts parts);

}  // namespace detail

/// Thrown by construction, loading and `forward`; never caught inside the library. what() says what was wrong and
/// what is accepted.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Error(ErrorCode code, detail::TextParts parts);
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace bytegate
#pragma GCC visibility pop
