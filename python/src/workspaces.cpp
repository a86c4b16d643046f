#include "workspaces.h"

#include <utility>
#include <vector>

namespace bytegate::python {
namespace {

constexpr std::size_t kKept = 8;  // more are there only while as many threads call at once

/// Guarded by the interpreter's lock. Never destroyed: a thread may still call while the interpreter ends.
std::vector<std::unique_ptr<Workspace>>& free_workspaces() {
  static auto& free = *new std::vector<std::unique_ptr<Workspace>>();
  return free;
}

}  // namespace

BorrowedWorkspace::BorrowedWorkspace(int num_threads) {
  auto& free = free_workspaces();
  for (std::size_t i = free.size(); i-- > 0;) {
    if (free[i]->num_threads() != num_threads) continue;
    workspace_ = std::move(free[i]);
    free.erase(free.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
  workspace_ = std::make_unique<Workspace>(num_threads);
}

BorrowedWorkspace::~BorrowedWorkspace() {
  auto& free = free_workspaces();
  if (free.size() == kKept) free.erase(free.begin());
  free.push_back(std::move(workspace_));
}

}  // namespace bytegate::python
