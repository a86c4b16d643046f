// Objects with shared owners.
#pragma once

#include <memory>
#include <utility>

namespace bytegate::detail {

/// An owner of the object, which `destroy` destroys.
std::shared_ptr<const void> own(const void* object, void (*destroy)(const void* object));

/// Of a T that was made by `new`.
template <class T>
static void destroy(const void* object) {
  delete static_cast<const T*>(object);
}

/// A new object. std::make_shared would be compiled for each type, with seven functions and tables of its own.
template <class T, class... Args>
static std::shared_ptr<T> share(Args&&... args) {
  T* const object = new T(std::forward<Args>(args)...);
  return {own(object, destroy<T>), object};
}

}  // namespace bytegate::detail
