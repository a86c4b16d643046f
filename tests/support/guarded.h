// Memory between pages that may not be touched: a read or write past either end ends the process.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

namespace bytegate::testing {

class GuardedMemory {
 public:
  /// at_end: the last byte is followed by the protected page (up to `alignment`); else the first byte is the first of
  /// its page.
  GuardedMemory(std::size_t bytes, bool at_end, std::size_t alignment = 1) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t inside = (bytes + page - 1) / page * page;
    mapped_ = inside + 2 * page;
    base_ = static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || (inside > 0 && mprotect(base_ + page, inside, PROT_READ | PROT_WRITE) != 0))
      throw std::bad_alloc();
    data_ = base_ + page + (at_end ? (inside - bytes) / alignment * alignment : 0);
  }
  ~GuardedMemory() { munmap(base_, mapped_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::byte* base_;
  std::byte* data_;
  std::size_t mapped_;
};

/// Floats in such memory.
class GuardedFloats {
 public:
  GuardedFloats(std::size_t count, bool at_end) : memory_(count * sizeof(float), at_end) {}
  GuardedFloats(std::span<const float> values, bool at_end) : GuardedFloats(values.size(), at_end) {
    if (!values.empty()) std::memcpy(memory_.data(), values.data(), values.size_bytes());
  }
  float* data() const { return reinterpret_cast<float*>(memory_.data()); }

 private:
  GuardedMemory memory_;
};

}  // namespace bytegate::testing
