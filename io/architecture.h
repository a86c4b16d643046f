// What a model is made of, without its weights: the JSON that files carry, and the same as values.
#pragma once

#include <bytegate/model.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bytegate::detail {

using NamedLayers = std::vector<std::pair<std::string, Layer>>;

/// One layer of an architecture.
struct LayerSpec {
  enum class Kind { embedding, lstm, linear, relu, flatten };

  std::string name;
  std::string prefix;  ///< of its tensors' names: `name` and a dot, or empty for a lone layer's
  Kind kind = Kind::linear;
  std::int64_t rows = 0;  ///< linear: out_features; embedding: num_embeddings
  std::int64_t cols = 0;  ///< linear: in_features; embedding: embedding_dim
  LSTMConfig lstm;
  bool bias = true;   ///< of a linear
  bool relu = false;  ///< of a linear
  bool quantized = false;
  std::optional<Scheme> scheme;  ///< of a quantized linear or LSTM; none: the file's

  bool has_weights() const { return kind != Kind::relu && kind != Kind::flatten; }
};

/// The layers of an architecture's JSON. Throws Error (bad_file) beginning with `what`.
std::vector<LayerSpec> parse_architecture(const std::string& text, const std::string& what);

/// The scheme that stands for the whole file: that of the first quantized layer, none if there is none.
std::optional<Scheme> common_scheme(const NamedLayers& layers);

/// The JSON of these layers; a scheme is written where it is not common_scheme. Throws Error (invalid_argument) for names that
/// are not UTF-8.
std::string architecture_text(const NamedLayers& layers);

}  // namespace bytegate::detail
