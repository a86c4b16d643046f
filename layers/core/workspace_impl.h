// The memory and threads behind a Workspace.
#pragma once

#include <bytegate/workspace.h>

#include <array>
#include <vector>

#include "layers/core/buffer.h"
#include "layers/core/thread_pool.h"

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
  state,
  staged_unprojected_h,
  unprojected_h_scales,
  unprojected_h,
  row_order,
  team_ranges,
  torch_sums,
  torch_row,
  steps,  // of a convolution
  step_ranges,
  windows,
  sums,
  results,
  lengths,
  activation_a,  // Sequential's outputs of a layer, in turn
  activation_b,
  count,
};

class WorkspaceImpl {
 public:
  explicit WorkspaceImpl(std::size_t num_threads = 1) : others_(num_threads - 1) {
    if (num_threads > 1) pool_ = std::make_unique<ThreadPool>(num_threads);
  }

  std::size_t num_threads() const noexcept { return others_.size() + 1; }
  /// Threads that a call may use now: num_threads(), or 1 in a child of fork(), whose result has the same bits.
  std::size_t usable_threads() const noexcept { return pool_ ? pool_->usable() : 1; }
  /// The buffers of thread i of a call; 0 has this object's own.
  WorkspaceImpl& of_thread(std::size_t i) noexcept { return i == 0 ? *this : others_[i - 1]; }
  /// Runs f(i), i < count <= usable_threads(), each on a thread of its own. f must not throw.
  template <class F>
  void run(std::size_t count, const F& f) {
    if (count == 1) return f(0);
    pool_->run(count, f);
  }

  /// The weights of the model that runs, all of which its layers read in turn; 0 for a layer that is called alone.
  void set_model_bytes(std::size_t bytes) noexcept {
    model_bytes_ = bytes;
    for (WorkspaceImpl& other : others_) other.set_model_bytes(bytes);
  }
  std::size_t model_bytes() const noexcept { return model_bytes_; }

  /// `count` elements, 64-byte aligned, with whatever they held before; valid until the slot is asked for again.
  template <class T>
  T* get(Slot slot, std::size_t count) {
    AlignedBuffer& buffer = buffers_[static_cast<std::size_t>(slot)];
    const std::size_t bytes = round_up(count * sizeof(T), kAlignment);
    if (buffer.bytes() < bytes) {
      buffer = AlignedBuffer();  // freed first, so that the old and the new buffer never coexist
      buffer = AlignedBuffer(bytes);
    }
    return reinterpret_cast<T*>(buffer.data());
  }

  std::size_t bytes() const noexcept {
    std::size_t sum = 0;
    for (const AlignedBuffer& buffer : buffers_) sum += buffer.bytes();
    for (const WorkspaceImpl& other : others_) sum += other.bytes();
    return sum;
  }

 private:
  std::array<AlignedBuffer, static_cast<std::size_t>(Slot::count)> buffers_;
  std::vector<WorkspaceImpl> others_;
  std::size_t model_bytes_ = 0;
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace bytegate::detail
