// Scratch memory of `forward`.
#pragma once

#include <cstddef>
#include <memory>

namespace bytegate {

namespace detail {
class WorkspaceImpl;
}

/// Buffers that layers reuse from call to call. A call makes those grow that are too small; once it has been used with the
/// largest shapes, `forward` allocates nothing. One workspace serves any number of layers, one call at a time: give each
/// thread its own.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

  /// Bytes held now.
  std::size_t bytes() const noexcept;

  detail::WorkspaceImpl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<detail::WorkspaceImpl> impl_;
};

}  // namespace bytegate
