// What Python says of a layer, its options and arrays, for the functions that make layers.
#pragma once

#include <bytegate/layer.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace bytegate::python {

namespace py = pybind11;

/// One kind of layer with options and tensors under PyTorch's names. Sizes that no option states are those of the
/// tensors. The arrays are read while a layer is made and are not kept.
class ArraySource final : public LayerSource {
 public:
  /// `tensors`: float32 arrays, or int8 arrays beside a float32 array `<name>_scale`. Null `scheme`: per_row.
  /// With `quantize` float weights are quantized while they are read.
  ArraySource(const LayerKind& kind, const py::dict& fields, const py::dict& tensors, const Scheme* scheme,
              const Backend* backend, bool quantize = false);
  ~ArraySource() override = default;

  bool states(const char* field) const override { return fields_.count(field) != 0; }
  std::int64_t size(const char* field, const std::string& tensor, std::size_t dimension, std::size_t rank) override;
  std::int64_t size(const char* field, std::int64_t by_default, std::int64_t shown) override;
  bool flag(const char* field, bool by_default, const std::string& tensor) override;
  bool flag(const char* field, bool by_default) override;
  std::size_t choice(const char* field, std::span<const std::string_view> accepted) override;
  double number(const char* field, double by_default) override;
  std::vector<std::int64_t> list(const char* field) override;
  void ignore(const char* field) override { taken_.insert(field); }
  bool has_fold() const override { return false; }
  bool has(const std::string& tensor) const override { return tensors_.count(tensor) != 0; }
  void ignore_tensor(const std::string& tensor) override { used_.insert(tensor); }
  std::array<std::int64_t, 2> matrix(const std::string& tensor) const override;
  Weight weight(const std::string& tensor, const Shape& shape) override;
  Tensor floats(const std::string& tensor, const Shape& shape) override;
  std::vector<std::string> others() const override { return {}; }
  Scheme scheme() override { return scheme_; }
  const Backend* backend() const override { return backend_; }
  using LayerSource::fail;
  [[noreturn]] void fail(const std::string& message) const override;

  /// Throws Error for options and tensors that were not asked for.
  void check_all_used() const;

 private:
  using Value = std::variant<std::int64_t, bool, std::string, double, std::vector<std::int64_t>>;
  struct Array {
    py::array owner;
    Shape shape;
    const float* floats = nullptr;
    const std::int8_t* int8s = nullptr;
  };

  template <class T>
  const T* stated(const char* field, const char* accepted);
  const Array& take(const std::string& tensor, const Shape& shape);
  const Array& find(const std::string& tensor) const;

  const LayerKind& kind_;
  std::map<std::string, Value> fields_;
  std::map<std::string, Array> tensors_;
  std::set<std::string> taken_, used_;
  Scheme scheme_{};
  const Backend* backend_;
  bool quantize_;
};

}  // namespace bytegate::python
