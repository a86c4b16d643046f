// Layers to and from the tensors of a file.
#pragma once

#include <bytegate/safetensors.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/architecture.h"

namespace bytegate::detail {

/// Makes layers from a file's tensors, which must be there with the shapes that the architecture gives.
class LayerReader {
 public:
  /// `scheme`: that of quantized layers that do not have their own.
  LayerReader(const SafetensorsFile& file, const Backend* backend, std::optional<Scheme> scheme)
      : file_(file), backend_(backend), scheme_(scheme) {}

  /// Throws Error (bad_file).
  Layer read(const LayerSpec& spec);

  /// Tensors that no layer read so far has used, by name.
  std::vector<std::string> unused() const;

 private:
  Layer make(const LayerSpec& spec);
  Layer make_linear(const LayerSpec& spec);
  Layer make_embedding(const LayerSpec& spec);
  Layer make_lstm(const LayerSpec& spec);
  template <class Weight, class Matrix>
  std::vector<LSTMCell<Weight>> cells(const LayerSpec& spec, const Matrix& matrix);

  const StoredTensor& stored(const std::string& name, const std::vector<std::int64_t>& shape);
  Tensor floats(const std::string& name, const std::vector<std::int64_t>& shape);
  QuantizedWeight quantized(const std::string& name, std::int64_t rows, std::int64_t cols);
  Scheme scheme_of(const LayerSpec& spec) const;
  [[noreturn]] void fail(const std::string& message) const;

  const SafetensorsFile& file_;
  const Backend* backend_;
  std::optional<Scheme> scheme_;
  std::set<std::string> used_;
};

/// Adds the layer's tensors, their names beginning with `prefix`.
void write_layer(const std::string& prefix, const Layer& layer, SafetensorsWriter& writer);

}  // namespace bytegate::detail
