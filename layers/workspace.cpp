#include "layers/workspace_impl.h"

namespace bytegate {

Workspace::Workspace() : impl_(std::make_unique<detail::WorkspaceImpl>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

std::size_t Workspace::bytes() const noexcept { return impl_->bytes(); }

}  // namespace bytegate
