// Reading and writing safetensors files.
#pragma once

#include <bytegate/error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class TensorBytes;
}

/// One tensor of a file.
struct StoredTensor {
  std::string dtype;  ///< "F32", "I8", "I64", ... any type of the format
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  ///< of its first byte behind the file's header
  std::uint64_t bytes = 0;
};

/// A safetensors file, validated. The values of its tensors are read when they are asked for, so that a large file is
/// never in memory as a whole. Any number of threads may read at once. Copies read from the same open file.
class SafetensorsFile {
 public:
  /// Reads the header and keeps the file open. Throws Error: io_error if it cannot be read, bad_file if it breaks the
  /// format.
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
  std::vector<float> floats(const std::string& name) const;         ///< F32
  std::vector<std::int8_t> int8s(const std::string& name) const;    ///< I8
  std::vector<std::int64_t> int64s(const std::string& name) const;  ///< I64
  /// Copies out.size() bytes of a tensor of this file, from byte `first` of it on. Throws Error (invalid_argument) for
  /// more bytes than it has, (io_error) if they cannot be read (any more).
  void read(const StoredTensor& tensor, std::uint64_t first, std::span<std::byte> out) const;

 private:
  SafetensorsFile() = default;

  std::string what_;
  std::shared_ptr<const detail::TensorBytes> bytes_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, StoredTensor> tensors_;
};

/// Collects tensors and writes them in the order they were added; the same calls give the same bytes.
class SafetensorsWriter {
 public:
  /// Throws Error (invalid_argument) for text that is not UTF-8, as `add` does for names.
  void set_metadata(const std::string& key, const std::string& value);
  /// Copies the data. Throws Error (invalid_argument) for a repeated name or a size that does not match shape and
  /// dtype.
  void add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape,
           std::span<const std::byte> data);
  void add(const std::string& name, std::span<const std::int64_t> shape, std::span<const float> data);
  void add(const std::string& name, std::span<const std::int64_t> shape, std::span<const std::int8_t> data);

  /// A tensor whose data is written in pieces when the file is: `produce` calls its argument for one piece after the
  /// other. It must be callable until then. Throws Error (invalid_argument) as above; `bytes` and `save` throw it if
  /// the pieces are not as long as shape and dtype say.
  using Sink = std::function<void(std::span<const std::byte> piece)>;
  using Producer = std::function<void(const Sink& sink)>;
  void add(const std::string& name, std::string_view dtype, std::span<const std::int64_t> shape, Producer produce);

  std::vector<std::byte> bytes() const;
  /// Writes a temporary file beside `path` and renames it: `path` is the old file or the new one, whole. Throws Error
  /// (io_error).
  void save(const std::filesystem::path& path) const;

 private:
  struct Entry {
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t bytes;
    Producer produce;
  };
  std::string header() const;
  void write(const Sink& sink) const;

  std::map<std::string, std::string> metadata_;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
};

}  // namespace bytegate
#pragma GCC visibility pop
