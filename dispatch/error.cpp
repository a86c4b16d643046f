#include <bytegate/error.h>

#include <algorithm>
#include <charconv>

namespace bytegate {
namespace detail {
namespace {

void append_printable(std::string& out, std::string_view text) {
  constexpr std::size_t kMost = 100;
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      const char escaped[] = {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      out.append(escaped, sizeof escaped);
    } else {
      out += c;
    }
  }
  if (text.size() > kMost) out += "...";
}

void append_number(std::string& out, std::uint64_t magnitude) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, magnitude).ptr);
}

void append_real(std::string& out, double value) {
  char digits[32];
  const std::string_view text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  out += text;
  if (text.find_first_not_of("-0123456789") == text.npos) out += ".0";
}

void append_list(std::string& out, const std::int64_t* values, std::size_t size) {
  constexpr std::size_t kMost = 16;
  out += '[';
  for (std::size_t i = 0; i < std::min(kMost, size); ++i) append_text(out, {i == 0 ? "" : ", ", values[i]});
  if (size > kMost) append_text(out, {", and ", size - kMost, " more"});
  out += ']';
}

}  // namespace

void TextPart::append_to(std::string& out) const {
  const auto* text = static_cast<const char*>(data_);
  switch (kind_) {
    case Kind::text:
      value_ == kTerminated ? out.append(text) : out.append(text, value_);
      return;
    case Kind::quoted:
      out += '"';
      append_printable(out, {text, value_});
      out += '"';
      return;
    case Kind::list:
      return append_list(out, static_cast<const std::int64_t*>(data_), value_);
    case Kind::signed_number:
      if (static_cast<std::int64_t>(value_) >= 0) return append_number(out, value_);
      out += '-';
      return append_number(out, 0 - value_);
    case Kind::unsigned_number:
      return append_number(out, value_);
    case Kind::real_number:
      return append_real(out, std::bit_cast<double>(value_));
  }
}

void append_text(std::string& out, TextParts parts) {
  for (const TextPart& part : parts) part.append_to(out);
}

std::string join_text(TextParts parts) {
  std::string text;
  append_text(text, parts);
  return text;
}

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text);
  return out;
}

void throw_error(ErrorCode code, TextParts parts) { throw Error(code, parts); }

}  // namespace detail

Error::Error(ErrorCode code, detail::TextParts parts) : Error(code, detail::join_text(parts)) {}

}  // namespace bytegate
