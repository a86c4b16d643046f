// The parts that messages are made of: numbers, lists, and text from files.
#include <bytegate/error.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

namespace bytegate::testing {
namespace {

using detail::join_text;
using detail::printable;
using detail::TextPart;

template <class Integer>
void expect_like_a_stream(std::initializer_list<Integer> values) {
  for (const Integer value : values) {
    std::ostringstream expected;
    expected << +value;
    EXPECT_EQ(join_text({value}), expected.str());
  }
}

TEST(TextPart, Integers) {
  EXPECT_EQ(join_text({INT64_MIN, " ", INT64_MAX, " ", UINT64_MAX}),
            "-9223372036854775808 9223372036854775807 18446744073709551615");
  EXPECT_EQ(join_text({0, -1, std::size_t{10}}), "0-110");
  // Each type of integer by its own sign: the same bits are -1 and 4294967295.
  expect_like_a_stream<std::int8_t>({INT8_MIN, -1, 0, INT8_MAX});
  expect_like_a_stream<std::uint8_t>({0, UINT8_MAX});
  expect_like_a_stream<std::int16_t>({INT16_MIN, -1, INT16_MAX});
  expect_like_a_stream<std::uint16_t>({0, UINT16_MAX});
  expect_like_a_stream<std::int32_t>({INT32_MIN, -1, 0, 1, INT32_MAX});
  expect_like_a_stream<std::uint32_t>({0, UINT32_MAX});
  expect_like_a_stream<long long>({std::numeric_limits<long long>::min(), std::numeric_limits<long long>::max()});
  expect_like_a_stream<unsigned long long>({0, 9, 10, 99, 100, std::numeric_limits<unsigned long long>::max()});
}

TEST(TextPart, Texts) {
  const std::string text = "a string";
  EXPECT_EQ(join_text({"", text, ", ", std::string_view(text).substr(2, 3), "\n"}), "a string, str\n");
  EXPECT_EQ(join_text({}), "");
  // The size counts, not a zero byte; a message's own text is not escaped.
  EXPECT_EQ(join_text({std::string("a\0b", 3)}), std::string("a\0b", 3));
  EXPECT_EQ(join_text({std::string_view()}), "");
  std::string begun = "begun ";
  detail::append_text(begun, {1, " and ", 2});
  EXPECT_EQ(begun, "begun 1 and 2");
}

std::string list_text(std::size_t size, std::int64_t first) {
  std::vector<std::int64_t> values(size);
  std::iota(values.begin(), values.end(), first);
  return join_text({"<", TextPart::list(values), ">"});
}

TEST(TextPart, Lists) {
  EXPECT_EQ(list_text(0, 0), "<[]>");
  EXPECT_EQ(list_text(1, -7), "<[-7]>");
  EXPECT_EQ(list_text(3, -1), "<[-1, 0, 1]>");
  EXPECT_EQ(list_text(2, INT64_MIN), "<[-9223372036854775808, -9223372036854775807]>");
  const std::string sixteen = "<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15";
  EXPECT_EQ(list_text(16, 0), sixteen + "]>");
  EXPECT_EQ(list_text(17, 0), sixteen + ", and 1 more]>");
  EXPECT_EQ(list_text(1000, 0), sixteen + ", and 984 more]>");
}

TEST(TextPart, NamesFromFilesAreCutAfter100Bytes) {
  for (const std::size_t size : {0u, 1u, 99u, 100u}) {
    const std::string name(size, 'x');
    EXPECT_EQ(join_text({TextPart::quoted(name)}), '"' + name + '"');
    EXPECT_EQ(printable(name), name);
  }
  for (const std::size_t size : {101u, 5000u}) {
    const std::string name(size, 'x');
    EXPECT_EQ(join_text({TextPart::quoted(name)}), '"' + std::string(100, 'x') + "...\"");
    EXPECT_EQ(printable(name), std::string(100, 'x') + "...");
    EXPECT_EQ(join_text({name}), name) << "a message's own text is never cut";
  }
  // The cut counts the bytes of the file, not those of their escapes.
  std::string escapes;
  for (int i = 0; i < 100; ++i) escapes += "\\x01";
  EXPECT_EQ(printable(std::string(100, '\1')), escapes);
  EXPECT_EQ(printable(std::string(101, '\1')), escapes + "...");
}

TEST(TextPart, ControlCharactersFromFilesAreEscaped) {
  EXPECT_EQ(printable(std::string("\0\t\n\r\x1b[31m\x7f", 10)), "\\x00\\x09\\x0a\\x0d\\x1b[31m\\x7f");
  EXPECT_EQ(join_text({TextPart::quoted("a\nb")}), "\"a\\x0ab\"");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const bool control = byte < 32 || byte == 127;
    EXPECT_EQ(printable(text).size(), control ? 4u : 1u) << byte;
    EXPECT_EQ(printable(text) == text, !control) << byte;
  }
  EXPECT_EQ(printable("größer"), "größer");  // UTF-8 stays
}

TEST(Error, OfParts) {
  const std::vector<std::int64_t> dims = {2, 3};
  try {
    detail::throw_error(ErrorCode::shape_mismatch, {"x has shape ", TextPart::list(dims), ", expected ", -1});
    FAIL() << "throw_error returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::shape_mismatch);
    EXPECT_STREQ(error.what(), "x has shape [2, 3], expected -1");
  }
  EXPECT_STREQ(Error(ErrorCode::io_error, {"a", 1}).what(), "a1");
  EXPECT_STREQ(Error(ErrorCode::io_error, "one text").what(), "one text");
}

}  // namespace
}  // namespace bytegate::testing
