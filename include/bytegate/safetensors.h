// Reading and writing safetensors files.
#pragma once

#include <bytegate/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bytegate {

/// One tensor of a file; `data` points into the file's own memory, in no particular alignment.
struct StoredTensor {
  std::string dtype;  ///< "F32", "I8", "I64", ... any type of the format
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
};

/// A safetensors file in memory, whole and validated. Moves but does not copy: its tensors are views of its bytes.
class SafetensorsFile {
 public:
  SafetensorsFile(SafetensorsFile&&) noexcept = default;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;

  /// Throws Error: io_error if it cannot be read, bad_file if it breaks the format.
  static SafetensorsFile load(const std::filesystem::path& path);
  /// The same from bytes in memory; `what` names them in errors.
  static SafetensorsFile parse(std::vector<std::byte> bytes, const std::string& what);

  /// The path or the `what` it was read from.
  const std::string& what() const noexcept { return what_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const std::map<std::string, StoredTensor>& tensors() const noexcept { return tensors_; }
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// Throws Error (bad_file) naming the tensor if it is not there or has another type.
  const StoredTensor& tensor(const std::string& name) const;
  std::vector<float> floats(const std::string& name) const;          ///< F32
  std::vector<std::int8_t> int8s(const std::string& name) const;     ///< I8
  std::vector<std::int64_t> int64s(const std::string& name) const;   ///< I64

 private:
  SafetensorsFile() = default;

  std::string what_;
  std::vector<std::byte> bytes_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, StoredTensor> tensors_;
};

/// Collects tensors and writes them in the order they were added; the same calls give the same bytes.
class SafetensorsWriter {
 public:
  /// Throws Error (invalid_argument) for text that is not UTF-8, as `add` does for names.
  void set_metadata(const std::string& key, const std::string& value);
  /// Copies the data. Throws Error (invalid_argument) for a repeated name or a size that does not match shape and dtype.
  void add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape, std::span<const std::byte> data);
  void add(const std::string& name, std::span<const std::int64_t> shape, std::span<const float> data);
  void add(const std::string& name, std::span<const std::int64_t> shape, std::span<const std::int8_t> data);

  std::vector<std::byte> bytes() const;
  /// Writes a temporary file beside `path` and renames it: `path` is the old file or the new one, whole. Throws Error (io_error).
  void save(const std::filesystem::path& path) const;

 private:
  struct Entry {
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> data;
  };
  std::string header() const;

  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
};

}  // namespace bytegate
