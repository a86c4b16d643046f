// Activations on their way into a product: quantized by the scheme, or copied for float layers.
#pragma once

#include <bytegate/layers.h>

#include <optional>

#include "layers/packed_weights.h"
#include "layers/torch_scheme.h"

namespace bytegate::detail {

inline RowRange merge(RowRange a, RowRange b) noexcept {
  if (a.lo != a.lo || b.lo != b.lo) return {__builtin_nanf(""), __builtin_nanf("")};
  return {b.lo < a.lo ? b.lo : a.lo, b.hi > a.hi ? b.hi : a.hi};
}

/// Whether one scale holds for a whole tensor.
inline bool per_tensor(const std::optional<Scheme>& scheme) noexcept { return scheme && scheme->kind == Scheme::Kind::torch; }

/// Throws Error (shape_mismatch) "what: shape [..], expected ..." unless `ok`; (invalid_argument) for null data of a tensor with elements.
void check_shape(bool ok, const char* what, const Shape& shape, const char* expected);
void check_data(const void* data, const char* what, const Shape& shape);
/// Throws Error (invalid_argument) if a value is NaN or infinite.
void check_finite(std::span<const float> values, const char* what);
/// Throws Error unless the sizes agree, there are `rows` scales or one, and they are finite and not negative.
void check_quantized(const QuantizedWeight& weight, const char* what);

inline const Backend& or_default(const Backend* backend) { return backend ? *backend : default_backend(); }

}  // namespace bytegate::detail
