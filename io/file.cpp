#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "io/text.h"

namespace bytegate::detail {
namespace {

[[noreturn, gnu::cold, gnu::noinline]] void fail_io(const char* verb, const std::filesystem::path& path, TextPart why) {
  throw_error(ErrorCode::io_error, {"cannot ", verb, " ", in_quotes(path.string()), ": ", why});
}

std::string errno_text(int error) { return std::generic_category().message(error); }

/// The same with what errno says.
[[noreturn, gnu::cold, gnu::noinline]] void fail_errno(const char* verb, const std::filesystem::path& path) {
  fail_io(verb, path, errno_text(errno));
}

/// The file that a save to `path` replaces: `path` itself or the end of its links.
std::filesystem::path save_target(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    // The link itself would be replaced; say so rather than guess.
    if (std::filesystem::is_symlink(path, error)) fail_io("write", path, "it is a symbolic link to nothing");
    return path;
  }
  if (error) fail_io("write", path, error.message());
  // A rename would put a plain file in the place of a device such as /dev/null.
  if (status.type() == std::filesystem::file_type::directory) fail_io("write", path, "it is a directory");
  if (status.type() != std::filesystem::file_type::regular) fail_io("write", path, "it is not a regular file");
  std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error) fail_io("write", path, error.message());
  return target;
}

/// A file of a new name beside `target`; removed unless it was renamed.
class TemporaryFile {
 public:
  TemporaryFile(const std::filesystem::path& target, const std::filesystem::path& shown) : shown_(shown) {
    static std::atomic<unsigned> counter{0};
    // O_EXCL finds a name that nobody else has; a few tries are enough, since names differ by process and call.
    for (int tries = 0; tries < 100 && fd_ < 0; ++tries) {
      path_ = target;
      path_ += join_text({".tmp-", ::getpid(), "-", counter++});
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ < 0 && errno != EEXIST) break;
    }
    if (fd_ < 0) fail_errno("write", shown_);
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!renamed_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_errno("write", shown_);
      if (n == 0) fail_io("write", shown_, "nothing was written");
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

  void rename_to(const std::filesystem::path& target) {
    struct stat old = {};
    if (::stat(target.c_str(), &old) == 0 && ::fchmod(fd_, old.st_mode & 0777) != 0) fail_errno("write", shown_);
    // Without it a crash of the machine could leave the new name with no content.
    if (::fsync(fd_) != 0) fail_errno("write", shown_);
    const int fd = fd_;
    fd_ = -1;
    if (::close(fd) != 0) fail_errno("write", shown_);
    if (std::rename(path_.c_str(), target.c_str()) != 0) fail_errno("write", shown_);
    renamed_ = true;
  }

 private:
  std::filesystem::path shown_;
  std::filesystem::path path_;
  int fd_ = -1;
  bool renamed_ = false;
};

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail_errno("open", path_);
  struct stat status = {};
  std::string why;
  if (::fstat(fd_, &status) != 0) {
    why = errno_text(errno);
  } else if (S_ISDIR(status.st_mode)) {
    why = "it is a directory";
  } else if (!S_ISREG(status.st_mode)) {
    why = "it is not a regular file";
  }
  if (!why.empty()) {
    ::close(fd_);
    fail_io("read", path_, why);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read", path_);
    if (n == 0) fail_io("read", path_, "it became shorter while it was read");
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

void write_file(const std::filesystem::path& path, const std::function<void(const ByteSink&)>& produce) {
  const std::filesystem::path target = save_target(path);
  TemporaryFile file(target, path);
  produce([&](std::span<const std::byte> piece) { file.write(piece); });
  file.rename_to(target);
}

}  // namespace bytegate::detail
