#include "layers/core/checks.h"
#include "layers/core/workspace_impl.h"

namespace bytegate {

Workspace::Workspace(int num_threads) {
  detail::check_num_threads(num_threads);
  impl_ = std::make_unique<detail::WorkspaceImpl>(static_cast<std::size_t>(num_threads));
}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

int Workspace::num_threads() const noexcept { return static_cast<int>(impl_->num_threads()); }
std::size_t Workspace::bytes() const noexcept { return impl_->bytes(); }

}  // namespace bytegate
