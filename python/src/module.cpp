// bytegate._core: the library for the Python package, which has the documented classes.
#include <bytegate/version.h>
#include <pybind11/pybind11.h>

#include <system_error>

#include "bindings.h"

namespace bytegate::python {
namespace {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::shape_mismatch:
      return "shape_mismatch";
    case ErrorCode::unknown_backend:
      return "unknown_backend";
    case ErrorCode::unsupported_backend:
      return "unsupported_backend";
    case ErrorCode::bad_file:
      return "bad_file";
    case ErrorCode::io_error:
      return "io_error";
  }
  return "invalid_argument";
}

void set_error(const char* code, const char* message) {
  const py::object type = py::module_::import("bytegate._error").attr("Error");
  const auto text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      message, static_cast<py::ssize_t>(std::char_traits<char>::length(message)), "backslashreplace"));
  PyErr_SetObject(type.ptr(), type(code, text).ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const Error& error) {
    set_error(code_name(error.code()), error.what());
  } catch (const std::system_error& error) {
    set_error("io_error", error.what());
  }
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ library below the package bytegate.";
  module.attr("version") = version();
  py::register_exception_translator(&translate);
  bind_layers(module);
  bind_models(module);
  bind_files(module);
}

}  // namespace bytegate::python
