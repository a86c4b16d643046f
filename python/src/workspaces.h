// Workspaces that calls borrow, so that one that has grown is used again whichever thread calls.
#pragma once

#include <bytegate/workspace.h>

#include <memory>

namespace bytegate::python {

/// A workspace for one call. It is made and destroyed while the interpreter's lock is held; the call itself need not
/// hold it.
class BorrowedWorkspace {
 public:
  /// Throws Error (invalid_argument) unless num_threads is 1 to 256.
  explicit BorrowedWorkspace(int num_threads);
  ~BorrowedWorkspace();
  BorrowedWorkspace(const BorrowedWorkspace&) = delete;
  BorrowedWorkspace& operator=(const BorrowedWorkspace&) = delete;

  Workspace& operator*() noexcept { return *workspace_; }

 private:
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace bytegate::python
