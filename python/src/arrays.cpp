#include "arrays.h"

#include <algorithm>
#include <array>
#include <string>

namespace bytegate::python {
namespace {

py::array as_array(const py::object& object, const char* what) {
  if (py::isinstance<py::array>(object)) return py::reinterpret_borrow<py::array>(object);
  if (py::hasattr(object, "__dlpack__")) {
    try {
      return py::module_::import("numpy").attr("from_dlpack")(object);
    } catch (py::error_already_set& error) {
      const std::string reason = py::str(error.value());
      detail::throw_error(ErrorCode::invalid_argument,
                          {what, " cannot be read through DLPack: ", detail::printable(reason)});
    }
  }
  const std::string type = py::str(py::type::of(object).attr("__name__"));
  detail::throw_error(ErrorCode::invalid_argument,
                      {what, " must be a NumPy array or an object with __dlpack__, not ", detail::printable(type)});
}

/// The array itself if it is contiguous, aligned and of the type, a copy if it is of the type only.
template <class T>
py::array contiguous(const py::object& object, const char* what, const char* name) {
  using Array = py::array_t<T, py::array::c_style>;
  if (Array::check_(object)) {
    auto array = py::reinterpret_borrow<py::array>(object);
    if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0) return array;
    return array.attr("copy")();
  }
  const py::array array = as_array(object, what);
  if (!py::array_t<T>::check_(array)) {
    const std::string type = py::str(array.dtype());
    detail::throw_error(ErrorCode::invalid_argument,
                        {what, " must be of type ", name, ", not ", detail::printable(type)});
  }
  return py::module_::import("numpy").attr("require")(array, py::none(), "CA");
}

}  // namespace

Shape shape_of(const py::array& array) {
  const auto rank = static_cast<std::size_t>(array.ndim());
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  if (rank > sizes.size()) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"an array has ", rank, " dimensions; at most ", sizes.size(), " are accepted"});
  }
  std::copy_n(array.shape(), rank, sizes.begin());
  return Shape(std::span(sizes.data(), rank));
}

Shape shape_of(const py::sequence& sizes) {
  std::vector<std::int64_t> dims;
  for (const py::handle size : sizes) dims.push_back(size.cast<std::int64_t>());
  return Shape(dims);
}

py::tuple to_tuple(const Shape& shape) {
  py::tuple sizes(shape.rank());
  for (std::size_t i = 0; i < shape.rank(); ++i) sizes[i] = shape[i];
  return sizes;
}

FloatArray float_array(const py::object& object, const char* what) {
  py::array array = contiguous<float>(object, what, "float32");
  const ConstTensorView view{static_cast<const float*>(array.data()), shape_of(array)};
  return {std::move(array), view};
}

IndexArray index_array(const py::object& object, const char* what) {
  py::array array = contiguous<std::int64_t>(object, what, "int64");
  const IndexView view{static_cast<const std::int64_t*>(array.data()), shape_of(array)};
  return {std::move(array), view};
}

py::array_t<std::int8_t> int8_array(const py::object& object, const char* what) {
  return contiguous<std::int8_t>(object, what, "int8");
}

bool is_int8(const py::object& object, const char* what) {
  return py::array_t<std::int8_t>::check_(as_array(object, what));
}

py::array_t<float> new_array(const Shape& shape) {
  return py::array_t<float>(std::vector<py::ssize_t>(shape.dims().begin(), shape.dims().end()));
}

py::array_t<float> new_array(const Shape& shape, const std::vector<float>& values) {
  py::array_t<float> array = new_array(shape);
  std::copy(values.begin(), values.end(), array.mutable_data());
  return array;
}

TensorView writable(py::array_t<float>& array, const Shape& shape) { return {array.mutable_data(), shape}; }

}  // namespace bytegate::python
