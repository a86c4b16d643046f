#include "bench/shapes.h"

#include <bytegate/backends.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>

namespace bytegate::bench {
namespace {

std::string inputs = "normal";

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
    std::fprintf(stderr, "--%s=%s: expected %zu sizes of 1 or more, with commas between\n", flag.c_str(), text.c_str(),
                 count);
    std::exit(2);
  }
  return sizes;
}

}  // namespace

std::map<std::string, std::vector<Sizes>> parse_flags(int& argc, char** argv,
                                                      const std::vector<std::pair<std::string, std::size_t>>& flags) {
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

const Backend& plain_backend() {
  for (const BackendInfo& info : list_backends()) {
    if (info.backend->required == 0) return *info.backend;
  }
  std::fprintf(stderr, "no backend runs on every CPU\n");
  std::exit(1);
}

std::string name_of(const std::string& kind, const Backend& backend, const std::vector<const char*>& letters,
                    const Sizes& sizes) {
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

void parse_inputs_flag(int& argc, char** argv) {
  const std::string prefix = "--inputs=";
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) == 0) {
      inputs = argv[i] + prefix.size();
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  if (inputs == "normal" || inputs == "uniform" || inputs == "extremes") return;
  std::fprintf(stderr, "%s%s: expected normal, uniform or extremes\n", prefix.c_str(), inputs.c_str());
  std::exit(2);
}

Tensor random_input(const Shape& shape, unsigned seed) {
  Tensor t = random_tensor(shape, 1, seed);
  if (inputs == "uniform") return t;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& v : t.data) v = inputs == "normal" ? normal(random) : v < 0 ? -1.0f : 1.0f;
  return t;
}

}  // namespace bytegate::bench
