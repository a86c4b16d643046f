// What a Linear holds.
#pragma once

#include <bytegate/layers.h>

#include "layers/quant/row_product.h"

namespace bytegate::detail {

class LinearCore : public RowProduct {
 public:
  using RowProduct::RowProduct;

  void forward(ConstTensorView x, TensorView y, const Layer* next, WorkspaceImpl& workspace) const;

  std::int64_t in_features() const noexcept { return static_cast<std::int64_t>(k()); }
  std::int64_t out_features() const noexcept { return static_cast<std::int64_t>(n()); }
  Shape output_shape(const Shape& x) const;

 private:
  void check_input(const Shape& x) const {
    if (x.rank() == 0 || x.back() != in_features()) fail_input(x);
  }
  [[noreturn]] void fail_input(const Shape& x) const;
};

}  // namespace bytegate::detail
