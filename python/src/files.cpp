#include <bytegate/safetensors.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "arrays.h"
#include "bindings.h"

#ifdef BYTEGATE_COMMAND_LINE
namespace bytegate::cli {
int run(int argc, char** argv);  // tools/commands.h, whose other parts need headers that the package does without
}
#endif

namespace bytegate::python {
namespace {

#ifdef BYTEGATE_COMMAND_LINE
int command_line(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const py::gil_scoped_release unlocked;
  return cli::run(static_cast<int>(arguments.size()), argv.data());
}
#endif

/// Metadata and tensors of a file: ({name: text}, {name: (dtype, shape, bytes)}).
py::tuple read_header(const std::filesystem::path& path) {
  const SafetensorsFile file = [&] {
    const py::gil_scoped_release unlocked;
    return SafetensorsFile::load(path);
  }();
  py::dict tensors;
  for (const auto& [name, stored] : file.tensors()) {
    tensors[py::str(name)] = py::make_tuple(stored.dtype, py::tuple(py::cast(stored.shape)), stored.bytes);
  }
  return py::make_tuple(file.metadata(), tensors);
}

/// Writes layers without an order, as save_state_dict does for those of a checkpoint.
void write_layers(const std::vector<std::pair<std::string, BoundLayer>>& layers, const std::filesystem::path& path) {
  StateDict state_dict;
  for (const auto& [name, layer] : layers) {
    state_dict.layers.push_back({name, layer.layer});
    state_dict.tensor_prefixes.push_back(name + ".");
  }
  const SafetensorsFile nothing = SafetensorsFile::parse(SafetensorsWriter().bytes(), "no other tensors");
  const py::gil_scoped_release unlocked;
  save_state_dict(state_dict, nothing, path);
}

/// The layers of a file by name, whether it is a model or not.
std::vector<std::pair<std::string, BoundLayer>> read_layers(const std::filesystem::path& path,
                                                            const std::optional<std::string>& backend) {
  LoadOptions options;
  options.backend = backend_of(backend);
  std::vector<std::pair<std::string, BoundLayer>> layers;
  const py::gil_scoped_release unlocked;
  for (NamedLayer& named : load_state_dict(SafetensorsFile::load(path), options).layers)
    layers.emplace_back(std::move(named.name), BoundLayer{std::move(named.layer)});
  return layers;
}

/// (name, whether it runs here, what is missing), best first.
std::vector<std::tuple<std::string, bool, std::string>> backends() {
  std::vector<std::tuple<std::string, bool, std::string>> rows;
  for (const BackendInfo& info : list_backends()) rows.emplace_back(info.backend->name, info.supported, info.missing);
  return rows;
}

}  // namespace

void bind_files(py::module_& module) {
#ifdef BYTEGATE_COMMAND_LINE
  module.def("command_line", &command_line, py::arg("arguments"));
#endif
  module.def("read_header", &read_header, py::arg("path"));
  module.def("write_layers", &write_layers, py::arg("layers"), py::arg("path"));
  module.def("read_layers", &read_layers, py::arg("path"), py::arg("backend") = py::none());
  module.def("backends", &backends);
  module.def("default_backend", [] { return std::string(default_backend().name); });
  module.def("find_backend", [](const std::string& name) { return std::string(find_backend(name).name); });
  module.def("load_backend", [](const std::string& path) { return std::string(load_backend(path).name); });
  module.def("cpu_features", [] { return feature_names(cpu_features()); });
  module.def("parse_scheme", [](const std::string& name) { return to_string(parse_scheme(name)); });
}

}  // namespace bytegate::python
