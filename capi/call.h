// What every function of the C interface goes through: exceptions become a status and a text, arguments are checked.
//
//     BYTEGATE_FUNCTION bytegate_status bytegate_f(...) try {
//       ...
//       return BYTEGATE_OK;
//     } catch (...) {
//       return keep_error();
//     }
#pragma once

#include <bytegate/bytegate.h>
#include <bytegate/error.h>
#include <bytegate/tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>

/// Marks the functions of the interface. All of capi/ is one object, of which g++ keeps nothing else visible
/// (cmake/library.cmake).
#ifdef __clang__
#define BYTEGATE_FUNCTION
#else
#define BYTEGATE_FUNCTION [[gnu::externally_visible]]
#endif

namespace bytegate {
struct Backend;
}

namespace bytegate::capi {

/// Keeps the exception that is being handled for bytegate_last_error(), and returns its status. `bad_file` is the
/// status of Error (bad_file).
[[gnu::cold]] bytegate_status keep_error(bytegate_status bad_file = BYTEGATE_BAD_FILE) noexcept;

/// Throws an exception that the caller sees as that status and the joined parts.
[[noreturn, gnu::cold]] void fail(bytegate_status status, detail::TextParts parts);

/// Throws what the caller sees as BYTEGATE_NULL_POINTER, naming the argument, if it is null.
void need(const void* pointer, const char* name);
/// The same for an array, which may be null if it has no elements.
void need_array(const void* data, std::size_t size, const char* name);

/// Checks a struct of the caller's, which begins with its size. Throws (invalid argument) for a size that no version
/// has, or for members that this version does not know. `known` is the size of this version, which is the first, so
/// that all of its members are there.
void check_struct(const void* given, std::size_t known);
/// The same; null stands for all defaults.
template <class Struct>
const Struct& read_struct(const Struct* given) {
  static constexpr Struct kDefaults{};
  if (!given) return kDefaults;
  check_struct(given, sizeof *given);
  return *given;
}
/// Copies `from` to the caller's struct, as much of it as the caller knows.
void write_struct(const void* from, std::size_t known, void* to);

/// Throws Error (invalid_argument) for dimensions that no tensor has.
Shape shape_of(const std::int64_t* dims, std::size_t rank);
/// Writes a shape to the caller's arrays.
void write_shape(const Shape& shape, std::int64_t* dims, std::size_t* rank);

/// The backend of that name; null, which stands for default_backend(), for null.
const Backend* backend_of(const char* name);

}  // namespace bytegate::capi
