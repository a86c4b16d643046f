#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "arrays.h"
#include "bindings.h"
#include "workspaces.h"

namespace bytegate::python {
namespace {

namespace fs = std::filesystem;

/// A model and the states of its layers between calls.
struct Stream {
  std::shared_ptr<BoundModel> model;
  int num_threads;
  ModelState state{};
};

QuantizeOptions quantize_options(const std::optional<std::string>& scheme, std::vector<std::string> kinds,
                                 std::vector<std::string> include, std::vector<std::string> exclude,
                                 const std::optional<std::string>& backend, int num_threads) {
  QuantizeOptions options;
  options.scheme = scheme_of(scheme);
  options.kinds = std::move(kinds);
  options.include = std::move(include);
  options.exclude = std::move(exclude);
  options.backend = backend_of(backend);
  options.num_threads = num_threads;
  return options;
}

std::shared_ptr<BoundModel> load(const fs::path& path, const std::optional<std::string>& backend, int num_threads,
                                 const std::string& architecture, bool guess_architecture, bool ignore_extra) {
  LoadReport report;
  LoadOptions options;
  options.backend = backend_of(backend);
  options.architecture = architecture;
  options.guess_architecture = guess_architecture;
  options.ignore_extra = ignore_extra;
  options.num_threads = num_threads;
  options.report = &report;
  const py::gil_scoped_release unlocked;
  Sequential model = load_model(path, options);
  return std::make_shared<BoundModel>(
      BoundModel{std::move(model), {report.tensor_prefixes, report.guessed}, report.notes});
}

std::shared_ptr<BoundModel> from_layers(const std::string& name,
                                        const std::vector<std::pair<std::string, BoundLayer>>& layers) {
  Sequential model(name);
  for (const auto& [layer_name, layer] : layers) model.add(layer_name, layer.layer);
  return std::make_shared<BoundModel>(BoundModel{std::move(model)});
}

py::array_t<float> forward(const BoundModel& self, const py::object& input, int num_threads, ModelState* state) {
  const auto call = [&](const auto& array) -> py::array_t<float> {
    const Shape shape = self.model.output_shape(array.view.shape);
    py::array_t<float> output = new_array(shape);
    const TensorView y = writable(output, shape);
    BorrowedWorkspace workspace(num_threads);
    const py::gil_scoped_release unlocked;
    self.model.forward(array.view, y, *workspace, state);
    return output;
  };
  return self.model.takes_indices() ? call(index_array(input, "the input")) : call(float_array(input, "the input"));
}

py::array_t<float> step(Stream& self, const py::object& input) {
  // A copy, so that two threads that use one stream cannot harm it, and a step that fails leaves the state as it was.
  ModelState state = self.state;
  py::array_t<float> output = forward(*self.model, input, self.num_threads, &state);
  self.state = std::move(state);
  return output;
}

std::shared_ptr<BoundModel> quantize(const BoundModel& self, const std::optional<std::string>& scheme,
                                     const std::vector<std::string>& kinds, const std::vector<std::string>& include,
                                     const std::vector<std::string>& exclude, const std::optional<std::string>& backend,
                                     int num_threads) {
  const QuantizeOptions options = quantize_options(scheme, kinds, include, exclude, backend, num_threads);
  const py::gil_scoped_release unlocked;
  return std::make_shared<BoundModel>(BoundModel{quantize_dynamic(self.model, options), self.save_options, self.notes});
}

void save(const BoundModel& self, const fs::path& path) {
  const py::gil_scoped_release unlocked;
  save_model(self.model, path, self.save_options);
}

std::vector<std::pair<std::string, BoundLayer>> layers_of(const BoundModel& self) {
  std::vector<std::pair<std::string, BoundLayer>> layers;
  for (const NamedLayer& named : self.model.layers()) layers.emplace_back(named.name, BoundLayer{named.layer});
  return layers;
}

}  // namespace

void bind_models(py::module_& module) {
  py::class_<BoundModel, std::shared_ptr<BoundModel>>(module, "Model")
      .def_static("load", &load, py::arg("path"), py::arg("backend") = py::none(), py::arg("num_threads") = 1,
                  py::arg("architecture") = "", py::arg("guess_architecture") = false, py::arg("ignore_extra") = false)
      .def_static("from_layers", &from_layers, py::arg("name"), py::arg("layers"))
      .def(
          "run",
          [](const BoundModel& self, const py::object& x, int num_threads) {
            return forward(self, x, num_threads, nullptr);
          },
          py::arg("x"), py::arg("num_threads") = 1)
      .def("quantize_dynamic", &quantize, py::arg("scheme") = py::none(), py::arg("kinds") = std::vector<std::string>{},
           py::arg("include") = std::vector<std::string>{}, py::arg("exclude") = std::vector<std::string>{},
           py::arg("backend") = py::none(), py::arg("num_threads") = 1)
      .def("save", &save, py::arg("path"))
      .def("layers", &layers_of)
      .def("output_shape",
           [](const BoundModel& self, const py::sequence& x) { return to_tuple(self.model.output_shape(shape_of(x))); })
      .def_property_readonly("name", [](const BoundModel& self) { return self.model.name(); })
      .def_property_readonly("notes", [](const BoundModel& self) { return self.notes; })
      .def_property_readonly("takes_indices", [](const BoundModel& self) { return self.model.takes_indices(); })
      .def("architecture", [](const BoundModel& self) { return architecture_json(self.model); })
      .def("__repr__", [](const BoundModel& self) { return to_string(self.model); });
  py::class_<Stream>(module, "Stream")
      .def(py::init([](std::shared_ptr<BoundModel> model, int num_threads) {
             return Stream{std::move(model), num_threads};
           }),
           py::arg("model"), py::arg("num_threads") = 1)
      .def("step", &step, py::arg("x"))
      .def("reset", [](Stream& self) { self.state = {}; });
}

}  // namespace bytegate::python
