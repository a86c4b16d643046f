// Patterns that choose layers by name.
#pragma once

#include <cstddef>
#include <string_view>

namespace bytegate::detail {

/// Whether `pattern` matches all of `name`: * stands for any number of characters, ? for one; every other character for
/// itself. Takes time in proportion to the product of both lengths at most.
inline bool matches_pattern(std::string_view pattern, std::string_view name) noexcept {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t p = 0, n = 0;
  std::size_t star = none, star_n = 0;  // the last * met, and up to where it has taken the name
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_n = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != none) {  // let the * take one character more
      p = star + 1;
      n = ++star_n;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace bytegate::detail
