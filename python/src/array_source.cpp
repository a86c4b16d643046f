#include "array_source.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "arrays.h"

namespace bytegate::python {
namespace {

constexpr const char* kScaleSuffix = "_scale";

using Value = std::variant<std::int64_t, bool, std::string, double, std::vector<std::int64_t>>;

Value to_value(const py::handle& object) {
  if (py::isinstance<py::bool_>(object)) return object.cast<bool>();
  if (py::isinstance<py::str>(object)) return object.cast<std::string>();
  if (py::isinstance<py::float_>(object)) return object.cast<double>();
  if (py::isinstance<py::sequence>(object)) return object.cast<std::vector<std::int64_t>>();
  return object.cast<std::int64_t>();
}

}  // namespace

ArraySource::ArraySource(const LayerKind& kind, const py::dict& fields, const py::dict& tensors, const Scheme* scheme,
                         const Backend* backend, bool quantize)
    : kind_(kind), backend_(backend), quantize_(quantize) {
  if (scheme) scheme_ = *scheme;
  for (const auto& [name, value] : fields) {
    if (value.is_none()) continue;
    const auto field = name.cast<std::string>();
    try {
      fields_.emplace(field, to_value(value));
    } catch (const py::cast_error&) {
      fail({"has an option ", field, " that is no number, flag, word or list of integers"});
    }
  }
  for (const auto& [key, value] : tensors) {
    if (value.is_none()) continue;
    const auto name = key.cast<std::string>();
    const auto object = py::reinterpret_borrow<py::object>(value);
    const std::string what = std::string(kind.title) + "'s " + name;
    Array array;
    if (is_int8(object, what.c_str())) {
      array.owner = int8_array(object, what.c_str());
      array.int8s = static_cast<const std::int8_t*>(array.owner.data());
      array.shape = shape_of(array.owner);
    } else {
      FloatArray floats = float_array(object, what.c_str());
      array = {std::move(floats.owner), floats.view.shape, floats.view.data, nullptr};
    }
    tensors_.emplace(name, std::move(array));
  }
}

void ArraySource::fail(const std::string& message) const {
  detail::throw_error(ErrorCode::invalid_argument, {kind_.title, " ", message});
}

template <class T>
const T* ArraySource::stated(const char* field, const char* accepted) {
  taken_.insert(field);
  const auto found = fields_.find(field);
  if (found == fields_.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (!value) LayerSource::fail({"has a ", field, " of another type; it must be ", accepted});
  return value;
}

std::int64_t ArraySource::size(const char* field, const std::string& tensor, std::size_t dimension, std::size_t rank) {
  if (const auto* value = stated<std::int64_t>(field, "an integer")) return *value;
  const Shape& shape = find(tensor).shape;
  if (shape.rank() == rank) return shape[dimension];
  LayerSource::fail({"has a ", tensor, " of shape ", to_string(shape), "; ", rank, " dimensions are expected"});
}

std::int64_t ArraySource::size(const char* field, std::int64_t, std::int64_t shown) {
  const auto* value = stated<std::int64_t>(field, "an integer");
  return value ? *value : shown;
}

bool ArraySource::flag(const char* field, bool, const std::string& tensor) {
  const bool shown = has(tensor);
  const auto* value = stated<bool>(field, "True or False");
  if (value && !*value && shown) LayerSource::fail({"has ", field, "=False, but there is a tensor ", tensor});
  return value ? *value : shown;
}

bool ArraySource::flag(const char* field, bool by_default) {
  const auto* value = stated<bool>(field, "True or False");
  return value ? *value : by_default;
}

std::size_t ArraySource::choice(const char* field, std::span<const std::string_view> accepted) {
  const auto* value = stated<std::string>(field, "a word");
  if (!value) return 0;
  const auto found = std::ranges::find(accepted, *value);
  if (found != accepted.end()) return static_cast<std::size_t>(found - accepted.begin());
  std::string words;
  for (const std::string_view word : accepted) detail::append_text(words, {words.empty() ? "" : ", ", word});
  LayerSource::fail({"has the ", field, " ", detail::TextPart::quoted(*value), "; accepted are ", words});
}

double ArraySource::number(const char* field, double by_default) {
  taken_.insert(field);
  const auto found = fields_.find(field);
  if (found == fields_.end()) return by_default;
  if (const auto* whole = std::get_if<std::int64_t>(&found->second)) return static_cast<double>(*whole);
  return *stated<double>(field, "a number");
}

std::vector<std::int64_t> ArraySource::list(const char* field) {
  const auto* value = stated<std::vector<std::int64_t>>(field, "a list of integers");
  if (!value) LayerSource::fail({"needs ", field, ", a list of integers"});
  return *value;
}

const ArraySource::Array& ArraySource::find(const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) LayerSource::fail({"needs a tensor ", tensor});
  return found->second;
}

const ArraySource::Array& ArraySource::take(const std::string& tensor, const Shape& shape) {
  const Array& array = find(tensor);
  used_.insert(tensor);
  if (array.shape == shape) return array;
  detail::throw_error(ErrorCode::shape_mismatch, {kind_.title, " has a ", tensor, " of shape ", to_string(array.shape),
                                                  "; expected is ", to_string(shape)});
}

std::array<std::int64_t, 2> ArraySource::matrix(const std::string& tensor) const {
  const Shape& shape = find(tensor).shape;
  if (shape.rank() == 2) return {shape[0], shape[1]};
  LayerSource::fail({"has a ", tensor, " of shape ", to_string(shape), "; a matrix is expected"});
}

Tensor ArraySource::floats(const std::string& tensor, const Shape& shape) {
  const Array& array = take(tensor, shape);
  if (!array.floats) LayerSource::fail({"has a ", tensor, " of type int8; it must be float32"});
  return Tensor(shape, std::vector<float>(array.floats, array.floats + shape.elements()));
}

Weight ArraySource::weight(const std::string& tensor, const Shape& shape) {
  const Array& array = take(tensor, shape);
  const std::int64_t rows = shape[0];
  const auto width = shape.elements() / static_cast<std::size_t>(std::max<std::int64_t>(rows, 1));
  const auto cols = static_cast<std::int64_t>(width);
  if (array.floats) {
    Weight floats = Weight::view({array.floats, Shape{rows, cols}});
    if (!quantize_) return floats;
    return Weight::quantizing(std::move(floats), kind_.quantizes_activations ? scheme_ : Scheme::per_row());
  }
  const std::string name = tensor + kScaleSuffix;
  const bool one = find(name).shape == Shape{1};
  std::vector<float> scales = floats(name, Shape{one ? 1 : rows}).data;
  if (!std::ranges::all_of(scales, [](float s) { return std::isfinite(s) && s >= 0; }))
    LayerSource::fail({"has a ", name, " that is negative, infinite or not a number"});
  return Weight(rows, cols, std::move(scales),
                [data = array.int8s, width](std::int64_t first, std::int64_t count, std::int8_t* out) {
                  std::memcpy(out, data + static_cast<std::size_t>(first) * width,
                              static_cast<std::size_t>(count) * width);
                });
}

void ArraySource::check_all_used() const {
  for (const auto& [field, value] : fields_) {
    if (taken_.count(field) == 0) LayerSource::fail({"has no option ", detail::TextPart::quoted(field)});
  }
  for (const auto& [name, array] : tensors_) {
    if (used_.count(name) == 0) LayerSource::fail({"has no tensor ", detail::TextPart::quoted(name)});
  }
}

}  // namespace bytegate::python
