#pragma once

#include <bytegate/workspace.h>

#include <array>

#include "layers/buffer.h"

namespace bytegate::detail {

/// What a buffer of a workspace is for. A layer uses each slot for one thing at a time.
enum class Slot {
  staged_input,
  input_scales,
  ranges,
  gates,
  staged_h,
  h_scales,
  h,
  c,
  staged_m,
  m_scales,
  m,
  row_order,
  activation_a,  // Sequential's outputs of a layer, in turn
  activation_b,
  count,
};

class WorkspaceImpl {
 public:
  /// `count` elements, 64-byte aligned, with whatever they held before; valid until the slot is asked for again.
  template <class T>
  T* get(Slot slot, std::size_t count) {
    AlignedBuffer& buffer = buffers_[static_cast<std::size_t>(slot)];
    const std::size_t bytes = round_up(count * sizeof(T), kAlignment);
    if (buffer.bytes() < bytes) {
      buffer = AlignedBuffer();  // before the new one: not both at once
      buffer = AlignedBuffer(bytes);
    }
    return reinterpret_cast<T*>(buffer.data());
  }

  std::size_t bytes() const noexcept {
    std::size_t sum = 0;
    for (const AlignedBuffer& buffer : buffers_) sum += buffer.bytes();
    return sum;
  }

 private:
  std::array<AlignedBuffer, static_cast<std::size_t>(Slot::count)> buffers_;
};

}  // namespace bytegate::detail
