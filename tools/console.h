// What the subcommands print with: numbers, tables, JSON and a progress bar.
#pragma once

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bytegate::cli {

/// Keeps keys in the order they were set, so that the same command gives the same bytes.
using Json = nlohmann::ordered_json;

void print_json(const Json& json);

/// 1415820 -> "1,415,820"
std::string with_commas(std::size_t number);

/// Rows of cells in columns as wide as their widest cell; columns named in `right` (by index) are aligned right.
class Table {
 public:
  explicit Table(std::vector<std::size_t> right = {}) : right_(std::move(right)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print() const;

 private:
  std::vector<std::size_t> right_;
  std::vector<std::vector<std::string>> rows_;
};

/// A bar on stderr, only when that is a terminal and the work takes more than a moment; erased at the end.
class Progress {
 public:
  Progress(std::string what, double total);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(double amount);
  void finish();  ///< erases the bar

 private:
  std::string what_;
  double total_;
  double done_ = 0;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace bytegate::cli
