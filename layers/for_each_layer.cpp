#include <bytegate/model.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include "layers/core/checks.h"
#include "layers/core/thread_pool.h"

namespace bytegate {

void detail::for_each_layer(std::size_t count, int num_threads, void (*f)(const void* context, std::size_t index),
                            const void* context) {
  check_num_threads(num_threads);
  std::atomic<std::size_t> next{0}, end{count};  // end: the first that failed, or count
  std::exception_ptr error;
  std::mutex mutex;
  // Every layer before one that fails is begun before it and finished, so the first in order that fails is always
  // found.
  const auto work = [&](std::size_t) {
    for (std::size_t i = next++; i < end; i = next++) {
      try {
        f(context, i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < end) {
          end = i;
          error = std::current_exception();
        }
      }
    }
  };
  const std::size_t threads = std::clamp<std::size_t>(count, 1, static_cast<std::size_t>(num_threads));
  ThreadPool(threads).run(threads, work);  // one thread: this one
  if (error) std::rethrow_exception(error);
}

}  // namespace bytegate
