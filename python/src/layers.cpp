#include <pybind11/stl.h>

#include "array_source.h"
#include "arrays.h"
#include "bindings.h"
#include "workspaces.h"

namespace bytegate::python {
namespace {

/// The description of a layer as Python objects.
class Description final : public LayerVisitor {
 public:
  explicit Description(bool with_tensors) : with_tensors_(with_tensors) {}

  void begin(std::string_view kind, std::string_view) override { kind_ = kind; }
  void field(const LayerField& field) override {
    if (!field.in_architecture) return;
    fields[py::str(std::string(field.name))] =
        std::visit([](const auto& value) -> py::object { return py::cast(value); }, field.value);
  }
  void scheme(const Scheme& scheme) override { scheme_ = to_string(scheme); }
  void weight(const std::string& name, const Weight& weight) override {
    quantized = quantized || weight.quantized();
    if (!with_tensors_) return;
    if (!weight.quantized()) {
      tensors[name.c_str()] = new_array(weight.shape(), weight.floats().data);
      return;
    }
    const QuantizedWeight stored = weight.int8s();
    const Shape sizes = weight.shape();
    const std::vector<std::int64_t> shape(sizes.dims().begin(), sizes.dims().end());
    tensors[name.c_str()] = py::array_t<std::int8_t>(shape, stored.data.data());
    tensors[(name + "_scale").c_str()] =
        new_array(Shape{static_cast<std::int64_t>(stored.scales.size())}, stored.scales);
  }
  void tensor(const std::string& name, const Tensor& tensor) override {
    if (with_tensors_) tensors[name.c_str()] = new_array(tensor.shape, tensor.data);
  }

  const std::string& kind() const { return kind_; }
  const std::optional<std::string>& scheme_name() const { return scheme_; }

  py::dict fields{}, tensors{};
  bool quantized = false;

 private:
  bool with_tensors_;
  std::string kind_;
  std::optional<std::string> scheme_;
};

Description describe(const BoundLayer& self, bool with_tensors = false) {
  Description description(with_tensors);
  self.layer->describe(description);
  return description;
}

BoundLayer make(const std::string& kind_name, const py::dict& fields, const py::dict& tensors,
                const std::optional<std::string>& scheme, const std::optional<std::string>& backend, bool quantize) {
  const LayerKind* kind = find_layer_kind(kind_name);
  if (!kind || !kind->make) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"no layer of the kind ", detail::TextPart::quoted(kind_name), " can be made"});
  }
  const std::optional<Scheme> chosen = scheme ? std::optional(parse_scheme(*scheme)) : std::nullopt;
  ArraySource source(*kind, fields, tensors, chosen ? &*chosen : nullptr, backend_of(backend), quantize);
  LayerPtr layer;
  {
    const py::gil_scoped_release unlocked;
    layer = kind->make(source);
  }
  source.check_all_used();
  return {layer};
}

py::array_t<float> run(const BoundLayer& self, const py::object& input, int num_threads) {
  const auto call = [&](const auto& array) -> py::array_t<float> {
    const Shape shape = self.layer->output_shape(array.view.shape);
    py::array_t<float> output = new_array(shape);
    const TensorView y = writable(output, shape);
    BorrowedWorkspace workspace(num_threads);
    const py::gil_scoped_release unlocked;
    self.layer->forward(array.view, y, *workspace, nullptr);
    return output;
  };
  return self.layer->takes_indices() ? call(index_array(input, "the input")) : call(float_array(input, "the input"));
}

/// The state that the caller passes, zeros for None.
LayerState to_state(const py::object& given, const std::vector<Shape>& shapes) {
  LayerState state;
  for (const Shape& shape : shapes) state.emplace_back(shape);
  if (given.is_none()) return state;
  const auto tensors = given.cast<py::sequence>();
  if (py::len(tensors) != shapes.size()) {
    detail::throw_error(ErrorCode::invalid_argument,
                        {"the state has ", py::len(tensors), " tensors; this layer's has ", shapes.size()});
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const FloatArray array = float_array(tensors[i], "the state");
    if (!(array.view.shape == shapes[i])) {
      detail::throw_error(ErrorCode::shape_mismatch, {"the state has a tensor of shape ", to_string(array.view.shape),
                                                      "; expected is ", to_string(shapes[i])});
    }
    std::copy_n(array.view.data, shapes[i].elements(), state[i].data.data());
  }
  return state;
}

void forward_ragged(const Layer& layer, const ConstTensorView& x, const TensorView& y, Workspace& workspace,
                    LayerState& state, std::span<const std::int64_t> lengths) {
  const auto* recurrent = dynamic_cast<const RecurrentLayer*>(&layer);
  if (!recurrent) throw Error(ErrorCode::invalid_argument, "this layer takes no lengths");
  RecurrentArgs args{state[0].view(), {}, state[0].view(), {}, lengths};
  if (state.size() > 1) {
    args.c0 = state[1].view();
    args.cn = state[1].view();
  }
  recurrent->forward(x, y, args, workspace);
}

py::tuple run_with_state(const BoundLayer& self, const py::object& input, const py::object& given,
                         const py::object& given_lengths, int num_threads) {
  const FloatArray x = float_array(input, "the input");
  const Shape shape = self.layer->output_shape(x.view.shape);
  LayerState state = to_state(given, self.layer->state_shapes(x.view.shape));
  py::array_t<float> output = new_array(shape);
  const TensorView y = writable(output, shape);
  IndexArray lengths;
  std::span<const std::int64_t> steps;
  if (!given_lengths.is_none()) {
    lengths = index_array(given_lengths, "lengths");
    steps = {lengths.view.data, lengths.view.shape.elements()};
  }
  {
    BorrowedWorkspace workspace(num_threads);
    const py::gil_scoped_release unlocked;
    if (steps.empty()) {
      self.layer->forward(x.view, y, *workspace, state.empty() ? nullptr : &state);
    } else {
      forward_ragged(*self.layer, x.view, y, *workspace, state, steps);
    }
  }
  py::tuple after(state.size());
  for (std::size_t i = 0; i < state.size(); ++i) after[i] = new_array(state[i].shape, state[i].data);
  return py::make_tuple(std::move(output), std::move(after));
}

std::optional<BoundLayer> quantize(const BoundLayer& self, const std::optional<std::string>& scheme,
                                   const std::optional<std::string>& backend) {
  const Scheme chosen = scheme_of(scheme);
  const Backend* bound_to = backend_of(backend);
  const py::gil_scoped_release unlocked;
  LayerPtr layer = self.layer->quantize_dynamic(chosen, bound_to);
  return layer ? std::optional(BoundLayer{layer}) : std::nullopt;
}

std::vector<py::tuple> state_shapes(const BoundLayer& self, const py::sequence& x) {
  std::vector<py::tuple> shapes;
  for (const Shape& shape : self.layer->state_shapes(shape_of(x))) shapes.push_back(to_tuple(shape));
  return shapes;
}

py::dict kinds() {
  py::dict names;
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.make) names[py::str(std::string(kind.name))] = kind.quantized_by_default;
  }
  return names;
}

}  // namespace

const Backend* backend_of(const std::optional<std::string>& name) { return name ? &find_backend(*name) : nullptr; }

Scheme scheme_of(const std::optional<std::string>& name) { return name ? parse_scheme(*name) : Scheme(); }

void bind_layers(py::module_& module) {
  module.def("kinds", &kinds, "Kinds of layers that can be made -> whether quantize_dynamic takes them by itself.");
  py::class_<BoundLayer>(module, "Layer")
      .def_static("make", &make, py::arg("kind"), py::arg("fields"), py::arg("tensors"), py::arg("scheme") = py::none(),
                  py::arg("backend") = py::none(), py::arg("quantize") = false)
      .def("run", &run, py::arg("x"), py::arg("num_threads") = 1)
      .def("run_with_state", &run_with_state, py::arg("x"), py::arg("state") = py::none(),
           py::arg("lengths") = py::none(), py::arg("num_threads") = 1)
      .def("quantize_dynamic", &quantize, py::arg("scheme") = py::none(), py::arg("backend") = py::none())
      .def("output_shape", [](const BoundLayer& self,
                              const py::sequence& x) { return to_tuple(self.layer->output_shape(shape_of(x))); })
      .def("state_shapes", &state_shapes)
      .def("tensors", [](const BoundLayer& self) { return describe(self, true).tensors; })
      .def_property_readonly("kind", [](const BoundLayer& self) { return describe(self).kind(); })
      .def_property_readonly("fields", [](const BoundLayer& self) { return describe(self).fields; })
      .def_property_readonly("scheme", [](const BoundLayer& self) { return describe(self).scheme_name(); })
      .def_property_readonly("quantized", [](const BoundLayer& self) { return describe(self).quantized; })
      .def_property_readonly("takes_indices", [](const BoundLayer& self) { return self.layer->takes_indices(); })
      .def_property_readonly("input_size", [](const BoundLayer& self) { return self.layer->input_size(); })
      .def("same_as", [](const BoundLayer& self, const BoundLayer& other) { return self.layer == other.layer; })
      .def("__repr__", [](const BoundLayer& self) { return to_string(*self.layer); });
}

}  // namespace bytegate::python
