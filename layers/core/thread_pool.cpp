#include "layers/core/thread_pool.h"

#include <pthread.h>

#include "layers/core/float_environment.h"

namespace bytegate::detail {
namespace {

/// How many times this process is a child of fork() since the first thread pool was made.
std::atomic<unsigned>& fork_count() noexcept {
  static std::atomic<unsigned> count{0};
  return count;
}

[[gnu::cold]] unsigned watch_forks() {
  // If the handler cannot be registered (no memory), a child of fork() is not told apart, as the C library tells
  // nobody.
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { fork_count().fetch_add(1, std::memory_order_relaxed); });
  return fork_count().load(std::memory_order_relaxed);
}

/// Waits until `value` is no longer `old`: first by spinning for some 30 microseconds, so that calls in a row find the
/// workers awake, then asleep.
void wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) noexcept {
  constexpr int spins = 1000;
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    spin_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

[[gnu::cold]] ThreadPool::ThreadPool(std::size_t count)
    : workers_(new std::vector<std::thread>), forks_(watch_forks()) {
  workers_->reserve(count - 1);
  try {
    for (std::size_t i = 1; i < count; ++i) workers_->emplace_back([this, i] { work(i); });
  } catch (...) {
    stop();
    throw;
  }
}

[[gnu::cold]] ThreadPool::~ThreadPool() { stop(); }

std::size_t ThreadPool::usable() const noexcept {
  return fork_count().load(std::memory_order_relaxed) == forks_ ? workers_->size() + 1 : 1;
}

[[gnu::cold]] void ThreadPool::stop() noexcept {
  if (fork_count().load(std::memory_order_relaxed) != forks_) {
    // The threads are the parent's: they can be neither joined nor detached here. Their handles are leaked.
    static_cast<void>(workers_.release());
    return;
  }
  stop_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : *workers_) worker.join();
}

void ThreadPool::run(std::size_t count, Function function, const void* context) {
  if (count == 1) return function(context, 0);
  function_ = function;
  context_ = context;
  count_ = count;
  busy_.store(static_cast<std::uint32_t>(workers_->size()), std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  function(context, 0);
  // Every worker answers, those without a part too, so that none can mistake the next job for this one.
  for (std::uint32_t left = busy_.load(std::memory_order_acquire); left != 0;
       left = busy_.load(std::memory_order_acquire)) {
    wait_for_change(busy_, left);
  }
}

void ThreadPool::work(std::size_t index) {
  const FloatEnvironment environment;  // a thread begins with that of the thread that started it
  for (std::uint32_t seen = 0;;) {
    wait_for_change(job_, seen);
    seen = job_.load(std::memory_order_acquire);
    if (stop_) return;
    if (index < count_) function_(context_, index);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
  }
}

}  // namespace bytegate::detail
