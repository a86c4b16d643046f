// A few threads that run one function at a time, together with the thread that asks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace bytegate::detail {

/// Holds back each of `count` threads until all have come. Reusable. Spins: the threads of a team run at the same time and the work
/// between two barriers takes microseconds.
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
      if (spins % kSpinsBeforeYield == kSpinsBeforeYield - 1) std::this_thread::yield();  // more threads than cores
    }
  }

 private:
  static constexpr unsigned kSpinsBeforeYield = 4096;
  const std::size_t count_;
  alignas(64) std::atomic<std::size_t> arrived_{0};
  alignas(64) std::atomic<std::size_t> phase_{0};
};

/// Part `index` of `count` nearly equal parts of n things, in units of `unit` but for the last.
struct Part {
  std::size_t begin;
  std::size_t end;
};
inline Part part_of(std::size_t n, std::size_t index, std::size_t count, std::size_t unit = 1) noexcept {
  const std::size_t units = (n + unit - 1) / unit;
  const auto at = [&](std::size_t i) { return units * i / count * unit < n ? units * i / count * unit : n; };
  return {at(index), at(index + 1)};
}

class ThreadPool {
 public:
  /// `count` threads in all, the calling one among them: count - 1 are started.
  explicit ThreadPool(std::size_t count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t size() const noexcept { return workers_.size() + 1; }

  /// Runs f(i) for i = 0 .. count - 1 (count <= size()), each on a thread of its own, 0 on this one; returns when all are done. f must
  /// not throw. Allocates nothing.
  template <class F>
  void run(std::size_t count, const F& f) {
    run(count, [](const void* context, std::size_t i) { (*static_cast<const F*>(context))(i); }, &f);
  }

 private:
  using Function = void (*)(const void* context, std::size_t index);
  void run(std::size_t count, Function function, const void* context);
  void work(std::size_t index);
  void stop() noexcept;

  std::vector<std::thread> workers_;
  Function function_ = nullptr;
  const void* context_ = nullptr;
  std::size_t count_ = 0;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> job_{0};
  alignas(64) std::atomic<std::uint32_t> busy_{0};
};

}  // namespace bytegate::detail
