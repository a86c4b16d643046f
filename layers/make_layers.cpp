#include <bytegate/model.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "layers/core/checks.h"
#include "layers/core/thread_pool.h"

namespace bytegate {

std::vector<LayerPtr> detail::make_layers(std::size_t count, int num_threads,
                                          const std::function<LayerPtr(std::size_t)>& make) {
  check_num_threads(num_threads);
  std::vector<LayerPtr> layers(count);
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  // Every layer before one that fails has been started, and is finished, so the first error in order is always found.
  const auto work = [&](std::size_t) {
    while (!failed) {
      const std::size_t i = next++;
      if (i >= count) return;
      try {
        layers[i] = make(i);
      } catch (...) {
        errors[i] = std::current_exception();
        failed = true;
      }
    }
  };
  const std::size_t threads = std::min(static_cast<std::size_t>(num_threads), count);
  if (threads > 1) {
    ThreadPool(threads).run(threads, work);
  } else {
    work(0);
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  return layers;
}

}  // namespace bytegate
