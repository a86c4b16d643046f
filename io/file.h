// Files: whole reads, and writes that replace a file whole or not at all. Every failure is an Error (io_error).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace bytegate::detail {

/// A regular file open for reading from front to back.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const noexcept { return size_; }
  /// Fills `out` with the next bytes.
  void read(std::span<std::byte> out);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// Writes the parts, one after the other, to a temporary file beside `path`, syncs it to the disk and renames it to `path`.
/// A symbolic link is followed. Where this fails, the old file stays as it was and the temporary file is gone.
void write_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts);

}  // namespace bytegate::detail
