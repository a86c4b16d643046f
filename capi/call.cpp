#include "capi/call.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bytegate::capi {
namespace {

/// An error that has a status of its own.
struct Failure {
  bytegate_status status;
  std::string text;
};

/// A thread's last error. Its destructor leaves a text, for destructors of the thread that run later.
struct LastError {
  char* owned = nullptr;
  const char* text = "";
  ~LastError() {
    std::free(owned);
    owned = nullptr;
    text = "";
  }
};
constinit thread_local LastError last_error;

bytegate_status keep(bytegate_status status, const char* text) noexcept {
  LastError& last = last_error;
  char* copy = strdup(text);
  std::free(last.owned);
  last.owned = copy;
  last.text = copy ? copy : "out of memory, also for the text of this error";
  return status;
}

constexpr bytegate_status kStatus[] = {BYTEGATE_INVALID_ARGUMENT,    BYTEGATE_SHAPE_MISMATCH, BYTEGATE_UNKNOWN_BACKEND,
                                       BYTEGATE_UNSUPPORTED_BACKEND, BYTEGATE_BAD_FILE,       BYTEGATE_IO_ERROR};
static_assert(static_cast<int>(ErrorCode::io_error) == std::size(kStatus) - 1);

bytegate_status status_of(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e)) return BYTEGATE_OUT_OF_MEMORY;
  // Of a container that would be larger than the address space.
  if (dynamic_cast<const std::length_error*>(&e)) return BYTEGATE_OUT_OF_MEMORY;
  if (dynamic_cast<const std::system_error*>(&e)) return BYTEGATE_SYSTEM_ERROR;
  return BYTEGATE_INTERNAL_ERROR;
}

/// The size that a struct of the caller's says it has. Every struct is that of its first version, of `least` bytes, or
/// has grown from it.
std::size_t struct_size(const void* data, std::size_t least) {
  std::size_t size;
  std::memcpy(&size, data, sizeof size);
  constexpr std::size_t kMost = 4096;
  if (size < least || size > kMost) {
    fail(BYTEGATE_INVALID_ARGUMENT,
         {"struct_size is ", size, " in a struct of ", least, " bytes; set it to sizeof of the struct"});
  }
  return size;
}

}  // namespace

bytegate_status keep_error(bytegate_status bad_file) noexcept {
  try {
    throw;
  } catch (const Failure& e) {
    return keep(e.status, e.text.c_str());
  } catch (const std::exception& e) {
    const auto* error = dynamic_cast<const Error*>(&e);
    bytegate_status status = error ? kStatus[static_cast<std::size_t>(error->code())] : status_of(e);
    if (status == BYTEGATE_BAD_FILE) status = bad_file;
    return keep(status, e.what());
  } catch (...) {
    return keep(BYTEGATE_INTERNAL_ERROR, "an unknown exception");
  }
}

void fail(bytegate_status status, detail::TextParts parts) { throw Failure{status, detail::join_text(parts)}; }

void need(const void* pointer, const char* name) {
  if (!pointer) fail(BYTEGATE_NULL_POINTER, {name, " is null"});
}

void need_array(const void* data, std::size_t size, const char* name) {
  if (size > 0) need(data, name);
}

void check_struct(const void* given, std::size_t known) {
  const std::size_t size = struct_size(given, known);
  for (std::size_t i = known; i < size; ++i) {
    if (static_cast<const char*>(given)[i] != 0)
      fail(BYTEGATE_INVALID_ARGUMENT, {"a struct has members that are set and that this version does not know"});
  }
}

void write_struct(const void* from, std::size_t known, void* to) {
  struct_size(to, known);
  std::memcpy(static_cast<char*>(to) + sizeof(std::size_t), static_cast<const char*>(from) + sizeof(std::size_t),
              known - sizeof(std::size_t));
}

Shape shape_of(const std::int64_t* dims, std::size_t rank) {
  need_array(dims, rank, "the shape");
  return Shape(std::span(dims, rank));
}

void write_shape(const Shape& shape, std::int64_t* dims, std::size_t* rank) {
  need(dims, "the array for the shape");
  need(rank, "the rank");
  *rank = shape.rank();
  std::copy(shape.dims().begin(), shape.dims().end(), dims);
}

}  // namespace bytegate::capi

extern "C" {

BYTEGATE_FUNCTION const char* bytegate_last_error(void) { return bytegate::capi::last_error.text; }

BYTEGATE_FUNCTION const char* bytegate_status_name(bytegate_status status) {
  static constexpr const char* names[] = {"BYTEGATE_OK",
                                          "BYTEGATE_INVALID_ARGUMENT",
                                          "BYTEGATE_SHAPE_MISMATCH",
                                          "BYTEGATE_UNKNOWN_BACKEND",
                                          "BYTEGATE_UNSUPPORTED_BACKEND",
                                          "BYTEGATE_BAD_FILE",
                                          "BYTEGATE_IO_ERROR",
                                          "BYTEGATE_NULL_POINTER",
                                          "BYTEGATE_INVALID_HANDLE",
                                          "BYTEGATE_BUFFER_TOO_SMALL",
                                          "BYTEGATE_OUT_OF_MEMORY",
                                          "BYTEGATE_SYSTEM_ERROR",
                                          "BYTEGATE_INTERNAL_ERROR"};
  const auto i = static_cast<unsigned>(status);
  return i < std::size(names) ? names[i] : "unknown status";
}
}
