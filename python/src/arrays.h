// NumPy arrays as views of floats, and back.
#pragma once

#include <bytegate/tensor.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

namespace bytegate::python {

namespace py = pybind11;

/// A view and the array that owns its elements, which is the caller's own where that is contiguous.
struct FloatArray {
  py::array owner;
  ConstTensorView view;
};
struct IndexArray {
  py::array owner;
  IndexView view;
};

/// The shape of an array.
Shape shape_of(const py::array& array);
/// A tuple of integers as a shape. Throws Error (invalid_argument).
Shape shape_of(const py::sequence& sizes);
py::tuple to_tuple(const Shape& shape);

/// `object` is a NumPy array or has __dlpack__. `what` names it in messages: "the input". Throws Error
/// (invalid_argument) that names the type that was expected.
FloatArray float_array(const py::object& object, const char* what);
IndexArray index_array(const py::object& object, const char* what);
py::array_t<std::int8_t> int8_array(const py::object& object, const char* what);
/// Whether the array, or what __dlpack__ makes of the object, has elements of that type.
bool is_int8(const py::object& object, const char* what);

/// A new float32 array without values.
py::array_t<float> new_array(const Shape& shape);
py::array_t<float> new_array(const Shape& shape, const std::vector<float>& values);
/// View of an array that was made by new_array.
TensorView writable(py::array_t<float>& array, const Shape& shape);

}  // namespace bytegate::python
