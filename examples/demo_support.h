// The parts of demo_model.cpp that are not about bytegate: arguments, text, sampling, timing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace demo {

struct Arguments {
  std::filesystem::path data;   ///< --data: the folder with demo_model.safetensors and charlm/
  std::filesystem::path model;  ///< --model: a folder with the files of charlm/
  std::string prompt = "And it came to pass";
  std::size_t chars = 200;  ///< of continuation
};

/// Prints the usage and ends the program with exit code 0 for --help, or 2 for arguments that it does not know.
Arguments parse_arguments(int argc, char** argv);

/// A character model's text and alphabet.
struct Text {
  std::vector<std::string> characters;        ///< index -> character (UTF-8), from vocab.json
  std::map<std::string, std::int64_t> index;  ///< character -> index
  std::vector<std::int64_t> held_out;         ///< the part of eval.txt that reference.json measures
  std::map<std::string, double> reference;    ///< PyTorch's bits per character on it, from reference.json

  /// The indices of the characters of `text`. Throws for a character that the model does not know.
  std::vector<std::int64_t> encode(const std::string& text) const;
};

Text read_text(const std::filesystem::path& folder);

/// -log2 of the probability of `target` in softmax(logits).
double bits(std::span<const float> logits, std::int64_t target);

/// Draws from softmax(logits / temperature) with a generator of its own, so that all runs and machines draw the same.
class Sampler {
 public:
  Sampler(std::uint64_t seed, double temperature) : state_(seed), temperature_(temperature) {}
  std::int64_t draw(std::span<const float> logits);

 private:
  std::uint64_t state_;
  double temperature_;
};

double seconds(const std::function<void()>& work);
/// Median time of one call, of 501 calls.
double microseconds_per_call(const std::function<void()>& call);

/// Size on disk in KB of 1000 bytes.
double kilobytes(const std::filesystem::path& file);

/// A folder for the files of this run, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace demo
