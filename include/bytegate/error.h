// Errors: every failure of the library is one exception type with a code and a sentence.
#pragma once

#include <bytegate/config.h>

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)
namespace bytegate {

enum class ErrorCode {
  invalid_argument,     ///< a value outside what the call accepts (sizes, options, null pointers)
  shape_mismatch,       ///< a tensor whose shape is not the one expected
  unknown_backend,      ///< no backend of that name is registered
  unsupported_backend,  ///< the backend exists and this CPU cannot run it
  bad_file,             ///< a file that breaks its format
  io_error,             ///< the operating system refused to open, read or write
};

/// Thrown by construction, loading and `forward`; never caught inside the library. what() says what was wrong and
/// what is accepted.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace bytegate
#pragma GCC visibility pop
