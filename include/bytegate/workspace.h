// Scratch memory of `forward`.
#pragma once

#include <bytegate/config.h>

#include <cstddef>
#include <memory>

#pragma GCC visibility push(default)
namespace bytegate {

namespace detail {
class WorkspaceImpl;
}

/// Buffers that layers reuse from call to call, and the threads that a call may use. A call makes those buffers grow
/// that are too small; once it has been used with the largest shapes, `forward` allocates nothing. One workspace serves
/// any number of layers, one call at a time: give each of your own threads its own. In a child of fork(), a workspace
/// of the parent's runs on one thread, with the same bits; the parent must not have been in a call that uses it.
class Workspace {
 public:
  /// Starts num_threads - 1 threads, which live as long as the workspace and sleep between calls. A call runs on as
  /// many of them as its size pays for (the `torch` scheme on one); the result is the same bits for any number. Throws
  /// Error (invalid_argument) unless num_threads is 1 to 256, std::system_error if a thread cannot be started.
  explicit Workspace(int num_threads = 1);
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

  int num_threads() const noexcept;
  /// Bytes held now, by all threads.
  std::size_t bytes() const noexcept;

  detail::WorkspaceImpl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<detail::WorkspaceImpl> impl_;
};

}  // namespace bytegate
#pragma GCC visibility pop
