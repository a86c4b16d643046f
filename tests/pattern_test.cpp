// Patterns for layers' names: * and ?, and nothing else.
#include "layers/pattern.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bytegate::detail {
namespace {

/// The definition, by recursion.
bool matches_by_definition(const std::string& pattern, const std::string& name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*')
    return matches_by_definition(pattern.substr(1), name) ||
           (!name.empty() && matches_by_definition(pattern, name.substr(1)));
  return !name.empty() && (pattern[0] == '?' || pattern[0] == name[0]) &&
         matches_by_definition(pattern.substr(1), name.substr(1));
}

/// All texts over the letters, up to that length.
std::vector<std::string> texts(const std::string& letters, std::size_t length) {
  std::vector<std::string> all = {""};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].size() == length) break;
    for (const char letter : letters) all.push_back(all[i] + letter);
  }
  return all;
}

TEST(Pattern, StarAndQuestionMark) {
  std::size_t matched = 0;
  for (const std::string& pattern : texts("ab*?", 5)) {
    for (const std::string& name : texts("ab", 5)) {
      const bool expected = matches_by_definition(pattern, name);
      ASSERT_EQ(matches_pattern(pattern, name), expected) << pattern << ' ' << name;
      matched += expected;
    }
  }
  EXPECT_GT(matched, 1000u);
}

TEST(Pattern, EveryOtherCharacterStandsForItself) {
  EXPECT_TRUE(matches_pattern("layers[0]", "layers[0]"));
  EXPECT_FALSE(matches_pattern("layers[0]", "layers0"));
  EXPECT_TRUE(matches_pattern("a\\*", "a\\bc"));
  EXPECT_FALSE(matches_pattern("a\\*", "a*"));
  EXPECT_TRUE(matches_pattern("*.0", "layers.0"));
  EXPECT_TRUE(matches_pattern("*", ".hidden"));
  EXPECT_FALSE(matches_pattern("{a,b}", "a"));
}

TEST(Pattern, TakesNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_FALSE(matches_pattern(pattern + "b", std::string(10'000, 'a')));
}

}  // namespace
}  // namespace bytegate::detail
