#include "bench/shapes.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>

namespace bytegate::bench {
namespace {

Sizes parse(const std::string& flag, const std::string& text, std::size_t count) {
  Sizes sizes;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    char* end = nullptr;
    const std::int64_t size = std::strtoll(part.c_str(), &end, 10);
    if (part.empty() || *end != 0 || size < 1) {
      sizes.clear();
      break;
    }
    sizes.push_back(size);
  }
  if (sizes.size() != count) {
    std::fprintf(stderr, "--%s=%s: expected %zu sizes of 1 or more, with commas between\n", flag.c_str(), text.c_str(), count);
    std::exit(2);
  }
  return sizes;
}

}  // namespace

std::map<std::string, std::vector<Sizes>> parse_flags(int& argc, char** argv, const std::vector<std::pair<std::string, std::size_t>>& flags) {
  std::map<std::string, std::vector<Sizes>> shapes;
  for (const auto& [flag, count] : flags) {
    const std::string prefix = "--" + flag + "=";
    int kept = 1;
    for (int i = 1; i < argc; ++i) {
      if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) == 0) {
        shapes[flag].push_back(parse(flag, argv[i] + prefix.size(), count));
      } else {
        argv[kept++] = argv[i];
      }
    }
    argc = kept;
    shapes[flag];
  }
  return shapes;
}

std::string name_of(const std::string& kind, const Backend& backend, const std::vector<const char*>& letters, const Sizes& sizes) {
  std::string name = kind + "/" + backend.name;
  for (std::size_t i = 0; i < sizes.size(); ++i) name += std::string("/") + letters[i] + ":" + std::to_string(sizes[i]);
  return name;
}

Tensor random_tensor(const Shape& shape, float bound, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-bound, bound);
  Tensor t(shape);
  for (float& v : t.data) v = uniform(random);
  return t;
}

}  // namespace bytegate::bench
