// A few threads that run one function at a time, together with the thread that asks for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace bytegate::detail {

/// Tells the core that the thread spins, so that it saves power and leaves its units to a sibling.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Holds back each of `count` threads until all have come. Reusable. Spins: the threads of a team run at the same time
/// and the work between two barriers takes microseconds.
class Barrier {
 public:
  explicit Barrier(std::size_t count) noexcept : count_(count) {}

  void wait() noexcept {
    if (count_ == 1) return;
    const std::size_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (unsigned spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      spin_pause();
      if (spins % kSpinsBeforeYield == kSpinsBeforeYield - 1) std::this_thread::yield();  // more threads than cores
    }
  }

 private:
  static constexpr unsigned kSpinsBeforeYield = 256;
  const std::size_t count_;
  alignas(64) std::atomic<std::size_t> arrived_{0};
  alignas(64) std::atomic<std::size_t> phase_{0};
};

class ThreadPool {
 public:
  /// `count` threads in all, the calling one among them: count - 1 are started.
  explicit ThreadPool(std::size_t count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Threads that run() may use: all, or 1 in a child of fork(), which has none of its parent's other threads.
  std::size_t usable() const noexcept;

  /// Runs f(i) for i = 0 .. count - 1 (count <= usable()), each on a thread of its own, 0 on this one; returns when all
  /// are done. f must not throw. Allocates nothing.
  template <class F>
  void run(std::size_t count, const F& f) {
    run(
        count, [](const void* context, std::size_t i) { (*static_cast<const F*>(context))(i); }, &f);
  }

 private:
  using Function = void (*)(const void* context, std::size_t index);
  void run(std::size_t count, Function function, const void* context);
  void work(std::size_t index);
  void stop() noexcept;

  // Behind a pointer, so that a child of fork() can leave the parent's threads alone.
  std::unique_ptr<std::vector<std::thread>> workers_;
  const unsigned forks_;  ///< of the process when the threads were started
  Function function_ = nullptr;
  const void* context_ = nullptr;
  std::size_t count_ = 0;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> job_{0};
  alignas(64) std::atomic<std::uint32_t> busy_{0};
};

}  // namespace bytegate::detail
