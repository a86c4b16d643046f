// What the files of the extension module share.
#pragma once

#include <bytegate/model_file.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>

namespace bytegate::python {

namespace py = pybind11;

/// A layer as Python holds it.
struct BoundLayer {
  LayerPtr layer;
};

/// A model as Python holds it, and what has to be known to write it under its own names.
struct BoundModel {
  Sequential model;
  SaveOptions save_options{};
  std::vector<std::string> notes{};
};

/// The backend of that name; null for none.
const Backend* backend_of(const std::optional<std::string>& name);
Scheme scheme_of(const std::optional<std::string>& name);

void bind_layers(py::module_& module);
void bind_models(py::module_& module);
void bind_files(py::module_& module);

}  // namespace bytegate::python
