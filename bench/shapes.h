// What the benchmark programs share: shapes from the command line, names, random tensors.
#pragma once

#include <bytegate/backend.h>
#include <bytegate/tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bytegate::bench {

using Sizes = std::vector<std::int64_t>;

/// Takes every --<flag>=A,B,... of the given flags (name, how many sizes) out of argv. Ends the program with 2 and a
/// sentence if one is not that many whole numbers of 1 or more.
std::map<std::string, std::vector<Sizes>> parse_flags(int& argc, char** argv,
                                                      const std::vector<std::pair<std::string, std::size_t>>& flags);

/// kind/backend/letter:size/...
std::string name_of(const std::string& kind, const Backend& backend, const std::vector<const char*>& letters,
                    const Sizes& sizes);

/// The backend that needs no CPU feature: others are checked against it.
const Backend& plain_backend();

/// Uniform in +-bound.
Tensor random_tensor(const Shape& shape, float bound, unsigned seed);

/// Takes --inputs=normal|uniform|extremes, how random_input is distributed, out of argv; ends the program as
/// parse_flags does. The time of some backends depends on it.
void parse_inputs_flag(int& argc, char** argv);

/// Activations: standard normal unless parse_inputs_flag said uniform in +-1, or extremes, each value -1 or 1.
Tensor random_input(const Shape& shape, unsigned seed);

}  // namespace bytegate::bench
