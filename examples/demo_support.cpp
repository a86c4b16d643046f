#include "demo_support.h"

#include <fmt/core.h>
#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

namespace demo {
namespace {

constexpr const char* kUsage =
    "demo_model: quantizes two trained models and shows what it costs and brings\n"
    "  --data DIR     folder of the demo's data\n"
    "  --model DIR    a character model of the same layout as data/charlm\n"
    "  --prompt TEXT  what the character models continue\n"
    "  --chars N      how many characters they add\n";

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The characters of UTF-8 text: a byte 10xxxxxx continues a character.
std::vector<std::string> split_characters(const std::string& text) {
  std::vector<std::string> characters;
  for (const char byte : text) {
    if ((static_cast<unsigned char>(byte) & 0xC0) == 0x80 && !characters.empty())
      characters.back() += byte;
    else
      characters.emplace_back(1, byte);
  }
  return characters;
}

[[noreturn]] void stop(int code, const std::string& message) {
  fmt::print(code == 0 ? stdout : stderr, "{}{}", message, kUsage);
  std::exit(code);
}

}  // namespace

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  arguments.data = BYTEGATE_EXAMPLES_DATA;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help") stop(0, "");
    if (i + 1 == argc) stop(2, "demo_model: " + name + " is not an option or lacks its value\n");
    const std::string value = argv[++i];
    if (name == "--data") {
      arguments.data = value;
    } else if (name == "--model") {
      arguments.model = value;
    } else if (name == "--prompt") {
      arguments.prompt = value;
    } else if (name == "--chars" && !value.empty() && value.size() < 7 &&
               value.find_first_not_of("0123456789") == std::string::npos) {
      arguments.chars = std::stoul(value);
    } else {
      stop(2, "demo_model: cannot make sense of " + name + " " + value + "\n");
    }
  }
  if (arguments.model.empty()) arguments.model = arguments.data / "charlm";
  return arguments;
}

std::vector<std::int64_t> Text::encode(const std::string& text) const {
  std::vector<std::int64_t> indices;
  for (const std::string& character : split_characters(text)) {
    const auto found = index.find(character);
    if (found == index.end()) throw std::runtime_error("the model does not know the character '" + character + "'");
    indices.push_back(found->second);
  }
  return indices;
}

Text read_text(const std::filesystem::path& folder) {
  Text text;
  text.characters = nlohmann::json::parse(read_file(folder / "vocab.json")).get<std::vector<std::string>>();
  for (std::size_t i = 0; i < text.characters.size(); ++i)
    text.index[text.characters[i]] = static_cast<std::int64_t>(i);
  text.held_out = text.encode(read_file(folder / "eval.txt"));
  if (std::filesystem::exists(folder / "reference.json")) {
    const auto reference = nlohmann::json::parse(read_file(folder / "reference.json"));
    for (const auto& [key, value] : reference.items())
      if (value.is_number()) text.reference[key] = value.get<double>();
    text.held_out.resize(std::min(text.held_out.size(), reference.value("characters", text.held_out.size())));
  }
  if (text.held_out.size() < 2) throw std::runtime_error("eval.txt is too short: nothing to predict");
  return text;
}

double bits(std::span<const float> logits, std::int64_t target) {
  if (target < 0 || static_cast<std::size_t>(target) >= logits.size())
    throw std::runtime_error("the model has no output for a character of the text");
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return (std::log(sum) + largest - logits[static_cast<std::size_t>(target)]) / std::log(2.0);
}

std::int64_t Sampler::draw(std::span<const float> logits) {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;  // the generator of Knuth's MMIX
  double left = static_cast<double>(state_ >> 11) * 0x1p-53;      // its upper 53 bits, as a number in [0, 1)
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp((logit - largest) / temperature_);
  for (std::size_t i = 0; i + 1 < logits.size(); ++i) {
    left -= std::exp((logits[i] - largest) / temperature_) / sum;
    if (left < 0) return static_cast<std::int64_t>(i);
  }
  return static_cast<std::int64_t>(logits.size()) - 1;
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double microseconds_per_call(const std::function<void()>& call) {
  for (int i = 0; i < 20; ++i) call();  // until caches, branch predictors and the clock of the CPU have settled
  std::vector<double> times(501);
  for (double& time : times) time = seconds(call) * 1e6;
  std::nth_element(times.begin(), times.begin() + 250, times.end());
  return times[250];
}

double kilobytes(const std::filesystem::path& file) {
  return static_cast<double>(std::filesystem::file_size(file)) / 1000;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "bytegate-demo-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make the folder " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace demo
