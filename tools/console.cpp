#include "console.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace bytegate::cli {

void print_json(const Json& json) {
  // Names in a file may be any bytes; what is not UTF-8 is replaced, since JSON cannot hold it.
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string with_commas(std::size_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, 1, ',');
  return text;
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += right ? fmt::format("  {:>{}}", row[i], widths[i]) : fmt::format("  {:<{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

Progress::Progress(std::string what, double total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()) {}

void Progress::finish() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

void Progress::advance(double amount) {
  done_ += amount;
  // Work that is over within half a second needs no bar.
  if (!terminal_ || std::chrono::steady_clock::now() - start_ < std::chrono::milliseconds(500)) return;
  constexpr std::size_t kWidth = 30;
  const double part = total_ > 0 ? std::clamp(done_ / total_, 0.0, 1.0) : 1.0;
  const auto full = static_cast<std::size_t>(part * kWidth);
  fmt::print(stderr, "\r{} [{}{}] {:3.0f} %\x1b[K", what_, std::string(full, '#'), std::string(kWidth - full, '.'),
             part * 100);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace bytegate::cli
