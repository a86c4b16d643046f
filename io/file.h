// Files: whole reads, and writes that replace a file whole or not at all. Every failure is an Error (io_error).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>

namespace bytegate::detail {

/// A regular file open for reading. Any number of threads may read at once.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const noexcept { return size_; }
  /// Fills `out` with the bytes from `offset` on.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// Writes what `produce` passes to its argument, one piece after the other, to a temporary file beside `path`, syncs it
/// to the disk and renames it to `path`. A symbolic link is followed. Where this fails, or `produce` throws, the old
/// file stays as it was and the temporary file is gone.
using ByteSink = std::function<void(std::span<const std::byte> piece)>;
void write_file(const std::filesystem::path& path, const std::function<void(const ByteSink&)>& produce);

}  // namespace bytegate::detail
