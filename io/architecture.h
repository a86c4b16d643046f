// What a model is made of, without its weights: the JSON that files carry, and the same as values.
#pragma once

#include <bytegate/model.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/json.h"

namespace bytegate::detail {

using NamedLayers = std::vector<NamedLayer>;

/// What the absence of a field means: its default, as in files of this library, in which a field without a default is
/// needed; or whatever the tensors show.
enum class Unstated { defaults, as_tensors_show };

/// A kind that a layer may be of by its tensors, and what it is then.
struct Claim {
  const LayerKind* kind;
  LayerOutline outline;
};

/// One layer of a file.
struct LayerSpec {
  std::string name;
  std::string prefix;  ///< of its tensors' names: `name` and a dot, or empty for a lone layer's
  const LayerKind* kind = nullptr;
  JsonValue stated;  ///< its object in an architecture; null if tensors alone tell what it is
  Unstated unstated = Unstated::as_tensors_show;
  std::optional<Scheme> scheme;  ///< of int8 weights, if the architecture does not state it; none: the file's

  std::vector<LayerSpec> folds;  ///< layers behind this one that are folded into it

  // Of layers in no order:
  LayerOutline outline{};
  std::vector<Claim> claims;         ///< the likeliest first
  std::vector<std::string> tensors;  ///< the names under which they are stored, the same for tied layers

  /// Takes the layer for what the claim says.
  void choose(const Claim& claim);
};

/// The largest size of a dimension: above every real model's, and no product of two of them and 4 gates overflows 64
/// bits.
inline constexpr std::int64_t kMaxSize = (std::int64_t{1} << 30) - 1;

/// The layers of an architecture's JSON; those that do nothing at inference are left out. Throws Error (bad_file) that
/// begins with `what`. Fields other than name and kind are left to FileSource (io/layer_source.h).
std::vector<LayerSpec> parse_architecture(const std::string& text, const std::string& what, Unstated unstated);

/// The scheme that stands for the whole file: that of the first quantized layer, none if there is none.
std::optional<Scheme> common_scheme(const NamedLayers& layers);

/// The JSON of these layers; a scheme is written where it is not common_scheme. Throws Error (invalid_argument) for
/// names that are not UTF-8.
std::string architecture_text(const NamedLayers& layers);

}  // namespace bytegate::detail
