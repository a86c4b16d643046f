// Bad files made by hand: each breaks one rule of the format and gets an error of its own.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/io_testing.h"

namespace bytegate::testing {
namespace {

struct BadFile {
  std::string name;
  std::string text;   ///< the whole file
  std::string error;  ///< a part of the message that no other bad file's message has
};

void PrintTo(const BadFile& file, std::ostream* out) { *out << file.name; }

std::string prefixed(std::uint64_t length, const std::string& rest) { return length_bytes(length) + rest; }

/// A file of one tensor with these values of its keys.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets, std::size_t data) {
  return file_text(R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", data);
}

/// Two F32 tensors, a of [2] and b of [1], at these offsets.
std::string two(const std::string& a, const std::string& b, std::size_t data) {
  return file_text(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                   data);
}

std::vector<BadFile> bad_prefixes() {
  const std::string good = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  return {
      {"empty_file", "", "the file has 0 bytes"},
      {"seven_bytes", std::string(7, '\1'), "the file has 7 bytes"},
      {"length_zero", prefixed(0, "{}"), "the header length is 0; the shortest"},
      {"length_one", prefixed(1, "{}"), "the header length is 1; the shortest"},
      {"length_past_end", prefixed(3, "{}"), "length is 3, but only 2 bytes follow"},
      {"length_over_limit", prefixed(100'000'001, "{}"), "length is 100000001; at most 100000000"},
      {"length_at_limit_but_past_end", prefixed(100'000'000, "{}"), "length is 100000000, but only 2"},
      {"length_all_ones", prefixed(~std::uint64_t{0}, "{}"), "length is 18446744073709551615; at most"},
      {"length_with_top_bit", prefixed(std::uint64_t{1} << 63, "{}"), "length is 9223372036854775808; at most"},
      {"length_big_endian", std::string("\0\0\0\0\0\0\0\2{}", 10), "length is 144115188075855872; at most"},
      {"starts_with_space", file_text(" " + good, 1), "begins with \" \""},
      {"starts_with_byte_order_mark", file_text("\xEF\xBB\xBF" + good, 1), "begins with \"\xEF\""},
      {"root_is_array", file_text("[]", 0), "begins with \"[\""},
      {"root_is_string", file_text("\"{}\"", 0), "begins with \"\"\""},
      {"a_python_pickle", file_text("PK\3\4", 0), "begins with \"P\""},
      {"padded_with_newline", file_text("{}\n", 0), "padded with \"\\x0a\""},
      {"padded_with_tab", file_text("{}\t", 0), "padded with \"\\x09\""},
      {"padded_with_zero_byte", file_text(std::string("{}\0", 3), 0), "zero byte at byte 2"},
      {"zero_byte_hides_the_rest", file_text(std::string("{ }\0{}", 6), 0), "zero byte at byte 3"},
  };
}

std::vector<BadFile> bad_json() {
  return {
      {"unclosed_object", file_text("{ ", 0), "unexpected end of input; expected string literal"},
      {"unclosed_string", file_text("{\"a", 0), "missing closing quote"},
      {"length_cuts_the_header", prefixed(8, R"({"a":null})"), "last read: '\"a\":nul'"},
      {"second_value", file_text("{}{}", 0), "unexpected '{'; expected end of input"},
      {"trailing_comma", file_text(R"({"__metadata__":{},})", 0), "unexpected '}'; expected string literal"},
      {"missing_colon", file_text(R"({"a" 1})", 0), "while parsing object separator"},
      {"missing_comma", file_text(R"({"__metadata__":{} "a":{}})", 0), "unexpected string literal; expected '}'"},
      {"single_quotes", file_text("{'a':{}}", 0), "invalid literal; last read: '{''"},
      {"comment", file_text("{/**/}", 0), "invalid literal; last read: '{/'"},
      {"control_character", file_text("{\"\x01\":{}}", 0), "control character U+0001"},
      {"utf8_cut", file_text("{\"\xC3\":{}}", 0), "ill-formed UTF-8 byte; last read: '\"\xC3\""},
      {"utf8_overlong", file_text("{\"\xC0\xAF\":{}}", 0), "ill-formed UTF-8 byte; last read: '\"\xC0"},
      {"utf8_surrogate", file_text("{\"\xED\xA0\x80\":{}}", 0), "ill-formed UTF-8 byte; last read: '\"\xED"},
      {"lone_surrogate_escape", file_text(R"({"\ud800":{}})", 0), "surrogate U+D800..U+DBFF must be followed"},
      {"bad_escape", file_text(R"({"\x":{}})", 0), "forbidden character after backslash"},
      {"leading_zero", one(R"("U8")", "[01]", "[0,1]", 1), "unexpected number literal; expected ']'"},
      {"plus_sign", one(R"("U8")", "[+1]", "[0,1]", 1), "last read: '\"shape\":[+'"},
      {"not_a_number", one(R"("U8")", "[NaN]", "[0,1]", 1), "last read: '\"shape\":[N'"},
      {"number_past_double", one(R"("U8")", "[1e999]", "[0,1]", 1), "number overflow"},
      {"array_trailing_comma", one(R"("U8")", "[1,]", "[0,1]", 1), "unexpected ']'; expected '[', '{', or a literal"},
  };
}

std::vector<BadFile> bad_structure() {
  const std::string deep(100'000, '[');
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  return {
      {"tensor_is_null", file_text(R"({"a":null})", 0), "tensor \"a\" is null"},
      {"tensor_is_true", file_text(R"({"a":true})", 0), "tensor \"a\" is a boolean"},
      {"tensor_is_number", file_text(R"({"a":1})", 0), "tensor \"a\" is a number"},
      {"tensor_is_string", file_text(R"({"a":"U8"})", 0), "tensor \"a\" is a string"},
      {"tensor_is_array", file_text(R"({"a":[]})", 0), "tensor \"a\" is an array"},
      {"deep_arrays", file_text("{\"deep\":" + deep, 0), "tensor \"deep\" is an array"},
      {"deep_objects", file_text(objects, 0), "unknown key \"a\""},
      {"deep_shape", one(R"("U8")", deep, "[0,1]", 1), "shape that holds an array"},
      {"tensor_twice", file_text("{" + a + "," + a + "}", 1), "the name \"a\" appears twice"},
      {"tensor_twice_by_escape", file_text(R"({"bc":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0062c":{}})", 1),
       "the name \"bc\" appears twice"},
      {"metadata_twice", file_text(R"({"__metadata__":{},"__metadata__":{}})", 0),
       "the name \"__metadata__\" appears twice"},
      {"metadata_key_twice", file_text(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
       "the __metadata__ key \"k\" appears twice"},
      {"metadata_is_null", file_text(R"({"__metadata__":null})", 0), "__metadata__ is null"},
      {"metadata_is_string", file_text(R"({"__metadata__":"x"})", 0), "__metadata__ is a string"},
      {"metadata_is_array", file_text(R"({"__metadata__":[]})", 0), "__metadata__ is an array"},
      {"metadata_number", file_text(R"({"__metadata__":{"k":1}})", 0), "\"k\" holds a number"},
      {"metadata_null", file_text(R"({"__metadata__":{"k":null}})", 0), "\"k\" holds null"},
      {"metadata_object", file_text(R"({"__metadata__":{"k":{}}})", 0), "\"k\" holds an object"},
      {"metadata_array", file_text(R"({"__metadata__":{"k":[]}})", 0), "\"k\" holds an array"},
      {"empty_entry", file_text(R"({"a":{}})", 0), "has no dtype"},
      {"no_shape", file_text(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), "has no shape"},
      {"no_offsets", file_text(R"({"a":{"dtype":"U8","shape":[1]}})", 1), "has no data_offsets"},
      {"extra_key", file_text(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", 1),
       "unknown key \"strides\""},
      {"key_in_capitals", file_text(R"({"a":{"DType":"U8"}})", 1), "unknown key \"DType\""},
      {"dtype_twice", file_text(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
       "has two \"dtype\""},
      {"shape_twice", file_text(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1),
       "has two \"shape\""},
  };
}

std::vector<BadFile> bad_entries() {
  return {
      {"dtype_unknown", one(R"("F31")", "[1]", "[0,4]", 4), "dtype \"F31\""},
      {"dtype_lower_case", one(R"("f32")", "[1]", "[0,4]", 4), "dtype \"f32\""},
      {"dtype_empty", one(R"("")", "[1]", "[0,4]", 4), "dtype \"\""},
      {"dtype_null", one("null", "[1]", "[0,1]", 1), "dtype that is null"},
      {"dtype_number", one("8", "[1]", "[0,1]", 1), "dtype that is a number"},
      {"dtype_array", one(R"(["U8"])", "[1]", "[0,1]", 1), "dtype that is an array"},
      {"shape_number", one(R"("U8")", "1", "[0,1]", 1), "shape that is a number"},
      {"shape_object", one(R"("U8")", "{}", "[0,1]", 1), "shape that is an object"},
      {"shape_string", one(R"("U8")", R"("1")", "[0,1]", 1), "shape that is a string"},
      {"shape_null", one(R"("U8")", "null", "[0,1]", 1), "shape that is null"},
      {"shape_of_strings", one(R"("U8")", R"(["1"])", "[0,1]", 1), "shape that holds a string"},
      {"shape_of_nulls", one(R"("U8")", "[null]", "[0,1]", 1), "shape that holds null"},
      {"shape_negative", one(R"("U8")", "[-1]", "[0,1]", 1), "shape that holds the negative number -1"},
      {"shape_fraction", one(R"("U8")", "[1.0]", "[0,1]", 1), "shape that holds the number 1.0"},
      {"shape_exponent", one(R"("U8")", "[1e0]", "[0,1]", 1), "shape that holds the number 1e0"},
      {"shape_2_to_63", one(R"("U8")", "[9223372036854775808]", "[0,1]", 1),
       "shape that holds the number 9223372036854775808"},
      {"shape_2_to_64_plus_1", one(R"("U8")", "[18446744073709551617]", "[0,1]", 1),
       "shape that holds the number 18446744073709551617"},
      {"elements_overflow", one(R"("U8")", "[4294967296,4294967297]", "[0,1]", 1),
       "[4294967296, 4294967297], whose size overflows"},
      {"elements_wrap_to_one", one(R"("U8")", "[274177,67280421310721]", "[0,1]", 1),
       "[274177, 67280421310721], whose size overflows"},
      {"bytes_overflow", one(R"("F64")", "[2305843009213693952]", "[0,0]", 0),
       "[2305843009213693952], whose size overflows"},
      {"overflow_before_zero", one(R"("U8")", "[4294967296,4294967296,0]", "[0,0]", 0),
       "[4294967296, 4294967296, 0], whose size"},
      {"offsets_empty", one(R"("U8")", "[1]", "[]", 1), "has 0 data_offsets"},
      {"offsets_one", one(R"("U8")", "[1]", "[0]", 1), "has 1 data_offsets"},
      {"offsets_three", one(R"("U8")", "[1]", "[0,1,1]", 1), "has 3 data_offsets"},
      {"offsets_negative", one(R"("U8")", "[1]", "[-1,0]", 1), "data_offsets that holds the negative number -1"},
      {"offsets_fraction", one(R"("U8")", "[1]", "[0,1.5]", 1), "data_offsets that holds the number 1.5"},
      {"offsets_nested", one(R"("U8")", "[1]", "[[0,1]]", 1), "data_offsets that holds an array"},
      {"offsets_object", one(R"("U8")", "[1]", "{}", 1), "data_offsets that is an object"},
      {"offsets_past_63_bits", one(R"("U8")", "[1]", "[0,18446744073709551615]", 1),
       "data_offsets that holds the number 18446744073709551615"},
      {"offsets_backwards", one(R"("U8")", "[1]", "[1,0]", 1), "[1, 0], which end before they begin"},
      {"offsets_past_end", one(R"("U8")", "[2]", "[0,2]", 1), "[0, 2], which reach past the 1 bytes"},
      {"offsets_far_past_end", one(R"("U8")", "[9223372036854775807]", "[0,9223372036854775807]", 1),
       "[0, 9223372036854775807], which reach"},
      {"too_few_bytes", one(R"("F32")", "[2]", "[0,4]", 4), "takes 8 bytes, but data_offsets [0, 4], which hold 4"},
      {"too_many_bytes", one(R"("F16")", "[1]", "[0,3]", 3), "takes 2 bytes, but data_offsets [0, 3], which hold 3"},
      {"rank_0_without_data", one(R"("F32")", "[]", "[0,0]", 0), "[] of F32, which takes 4 bytes"},
      {"empty_with_data", one(R"("F32")", "[0]", "[0,4]", 4), "[0] of F32, which takes 0 bytes"},
      {"gap_at_start", one(R"("U8")", "[1]", "[1,2]", 2), "bytes 0 to 1 of the data belong to no tensor"},
      {"gap_between", two("[0,8]", "[12,16]", 16), "bytes 8 to 12 of the data belong to no tensor"},
      {"overlap", two("[0,8]", "[4,8]", 8), "begins at byte 4 of the data, inside tensor \"a\""},
      {"shared_data", two("[0,8]", "[0,4]", 8), "begins at byte 0 of the data, inside tensor \"b\""},
      {"data_left_over", two("[0,8]", "[8,12]", 13), "end at byte 12 of the data, but the file has 13"},
      {"data_without_tensors", file_text("{}", 1), "end at byte 0 of the data, but the file has 1"},
      {"data_cut", two("[0,8]", "[8,12]", 11), "[8, 12], which reach past the 11 bytes"},
      {"empty_tensor_inside_another",
       file_text(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                 R"("e":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
                 2),
       "tensor \"e\" begins at byte 1"},
  };
}

std::vector<BadFile> all_bad_files() {
  std::vector<BadFile> all;
  for (const auto& group : {bad_prefixes(), bad_json(), bad_structure(), bad_entries()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

class BadFiles : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadFiles, FromMemory) {
  expect_error(ErrorCode::bad_file, {GetParam().error, "test.safetensors: "}, [] { parse_text(GetParam().text); });
}

TEST_P(BadFiles, FromDisk) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "bad.safetensors";
  write_text(path, GetParam().text);
  expect_error(ErrorCode::bad_file, {GetParam().error, "bad.safetensors: "}, [&] { SafetensorsFile::load(path); });
}

INSTANTIATE_TEST_SUITE_P(All, BadFiles, ::testing::ValuesIn(all_bad_files()),
                         [](const auto& bad) { return bad.param.name; });

TEST(BadFilesTogether, EachHasAnErrorOfItsOwn) {
  const std::vector<BadFile> files = all_bad_files();
  std::vector<std::string> messages;
  for (const BadFile& file : files) {
    const auto error = error_of([&] { parse_text(file.text); });
    ASSERT_TRUE(error.has_value()) << file.name;
    messages.emplace_back(error->what());
    EXPECT_LT(messages.back().size(), 500u) << file.name;
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t j = 0; j < files.size(); ++j) {
      if (i == j) continue;
      EXPECT_EQ(messages[j].find(files[i].error), std::string::npos) << files[i].name << " and " << files[j].name;
    }
  }
  EXPECT_GE(files.size(), 100u);
}

}  // namespace
}  // namespace bytegate::testing
