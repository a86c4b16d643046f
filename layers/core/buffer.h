// Aligned memory that is not initialized.
#pragma once

#include <bytegate/backend.h>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace bytegate::detail {

inline constexpr std::size_t kAlignment = 64;
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
    // Large buffers are on huge pages where the system has them: they need fewer entries of the address translation
    // caches.
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    data_ = {static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment})), Free{alignment}};
#ifdef MADV_HUGEPAGE
    if (alignment == kHugePage) madvise(data_.get(), bytes, MADV_HUGEPAGE);  // a hint: its failure changes nothing
#endif
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::move(other.data_)), bytes_(std::exchange(other.bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    data_ = std::move(other.data_);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  std::byte* data() const noexcept { return data_.get(); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Free {
    std::size_t alignment;
    void operator()(std::byte* p) const noexcept { ::operator delete (p, std::align_val_t{alignment}); }
  };
  std::unique_ptr<std::byte, Free> data_{nullptr, Free{kAlignment}};
  std::size_t bytes_ = 0;
};

}  // namespace bytegate::detail
