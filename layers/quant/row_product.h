// Rows of floats by a weight matrix, float or int8: what Linear and Conv1d compute. Rows are staged and multiplied in
// blocks that stay in the cache, on as many threads as the size pays for.
#pragma once

#include <bytegate/layer.h>

#include <optional>
#include <span>

#include "layers/core/range.h"
#include "layers/core/workspace_impl.h"
#include "layers/quant/activation_quantizer.h"
#include "layers/quant/packed_weights.h"

namespace bytegate::detail {

/// The rows of one call: where they come from and where their products go. The functions are called from several
/// threads at once, each with a workspace of its own, and allocate only in `reserve`.
class ProductRows {
 public:
  virtual ~ProductRows() = default;

  /// Makes the buffers that the other functions take for `rows` rows at a time.
  virtual void reserve(std::size_t rows, WorkspaceImpl& workspace) const = 0;
  /// The range of all inputs, for a scale that spans them.
  virtual RowRange range(const Kernels& kernels, WorkspaceImpl& workspace) const = 0;
  /// Stages rows [first, first + count) and sets out.rows. `scratch` is what ActivationQuantizer::stage needs.
  virtual void stage(std::size_t first, std::size_t count, const ActivationQuantizer& quantizer, StagedRows& out,
                     float* scratch, WorkspaceImpl& workspace) const = 0;
  /// What `stage` reads for these rows, where it is one piece of memory that may be fetched ahead.
  virtual std::span<const float> inputs(std::size_t, std::size_t) const { return {}; }
  /// Where the products of these rows go, [count, n].
  virtual float* results(std::size_t first, std::size_t count, WorkspaceImpl& workspace) const = 0;
  /// Takes the columns of the results that are there now.
  virtual void finish(std::size_t, std::size_t, Range, const float*) const {}
};

/// Immutable after construction.
class RowProduct {
 public:
  /// weight [n, k]; bias [n] or null data. `layer` is the layer's name in messages. Throws Error for a bias of another
  /// shape, or for one with NaN or infinity beside int8 weights.
  RowProduct(const char* layer, const Weight& weight, ConstTensorView bias, const Scheme& how, bool fused_relu,
             const Backend* on);

  /// The products of `rows` rows, to which the elementwise layer `next` (null: none) is applied.
  void run(const ProductRows& source, std::size_t rows, const Layer* next, WorkspaceImpl& workspace) const;

  std::size_t k() const noexcept { return weights.view().k; }
  std::size_t n() const noexcept { return weights.view().n; }
  const Kernels& kernels() const noexcept { return kernels_; }
  std::optional<Tensor> bias() const;

  const Backend* const backend;
  const std::optional<Scheme> scheme;  ///< none: float
  const bool relu;
  const bool has_bias;

 private:
  const Kernels& kernels_;

 public:
  const PackedWeights weights;

 private:
  const std::size_t block_rows_;  ///< rows that are staged at once, at most

  StagedRows stage_buffer(std::size_t rows, WorkspaceImpl& workspace) const;
  void run_part(const ProductRows& source, Range rows, Range panels, const ActivationQuantizer& quantizer,
                const Layer* next, WorkspaceImpl& workspace) const;
};

/// Throws Error unless bias (null data: none) is [weight.rows()], and finite beside an int8 weight. Its elements.
std::size_t check_bias(const char* layer, const Weight& weight, ConstTensorView bias);

/// The range of x [rows, k].
RowRange range_of_rows(const Kernels& kernels, const float* x, std::size_t rows, std::size_t k,
                       WorkspaceImpl& workspace);

}  // namespace bytegate::detail
