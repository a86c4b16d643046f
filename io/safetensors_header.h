// The JSON header of a safetensors file, read and checked without building a tree: memory stays in proportion to the
// text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bytegate::detail {

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr std::string_view kMetadataKey = "__metadata__";

/// Bytes of an element of that type, 0 for a type the format does not have.
std::uint64_t dtype_size(std::string_view dtype);
/// "BOOL, U8, ...": the types of the format.
std::string dtype_names();

/// Bytes a tensor takes, or -1 if that does not fit 63 bits. Dimensions are >= 0 and `element` > 0.
std::int64_t tensor_bytes(const std::vector<std::int64_t>& shape, std::uint64_t element);

struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  ///< in the data, which starts after the header
  std::uint64_t end = 0;
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<HeaderEntry> entries;  ///< in the order of their data
};

/// The header's length from the first 8 bytes of a file (`prefix` holds those the file has, at most 8). Throws Error
/// (bad_file).
std::uint64_t read_header_size(std::string_view prefix, std::uint64_t file_size, const std::string& what);

/// Everything the format asks of the header; `data_size` is what follows it in the file. Throws Error (bad_file).
Header parse_header(std::string_view text, std::uint64_t data_size, const std::string& what);

}  // namespace bytegate::detail
