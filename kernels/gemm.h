// out = relu?(lhs * rhs^T + bias): int32 sums never reach memory.
#pragma once

#include "kernels/product.h"

namespace bytegate::kernels {

/// The sums of so many vectors of a tile, from `first` on, whose columns begin with n, to rows at `out`.
/// store(out, column, y) stores one vector of a row, `column` columns behind n.
template <class Isa, int rows, int first, int vectors, class Tile, class Store>
BYTEGATE_INLINE void store_tile(const GemmArgs& a, const Tile& tile, std::size_t n, float* out, const Store& store) {
  using F = typename Isa::F;
  const F floor = output_floor<F>(a);
  static_for<vectors>([&]<int v>() BYTEGATE_LAMBDA {
    const std::size_t column = n + v * Isa::width;
    const F bias = Isa::load(a.rhs.bias + column);
    F y[rows];
    static_for<rows>([&]<int r>() BYTEGATE_LAMBDA { y[r] = tile.template value<r, first + v>(a.rhs, column, bias); });
    static_for<rows>([&]<int r>()
                         BYTEGATE_LAMBDA { store(out + r * a.out_stride, v * Isa::width, Isa::max(floor, y[r])); });
  });
}

/// Rows from m on of so many vectors of columns from n on.
template <class Product, int rows, int vectors, class Store>
BYTEGATE_INLINE void gemm_tile(const GemmArgs& a, std::size_t m, const void* weights, std::size_t n, FetchAhead& ahead,
                               float* out, const Store& store) {
  typename Product::template Tile<rows, vectors, 4> tile;
  tile.run(a.lhs, m, weights, a.rhs, ahead);
  store_tile<typename Product::Isa, rows, 0, vectors>(a, tile, n, out, store);
}

/// Panels up to panel_end, all of whose columns are stored. out: where those of the first row and panel are.
template <class Product>
__attribute__((noinline)) void gemm_panels(const GemmArgs& args, std::size_t panel_end, float* out) {
  using Isa = typename Product::Isa;
  using F = typename Isa::F;
  const GemmArgs a = args;
  const RowTiles tiles(a.lhs.rows, Product::mr);
  FetchNext next(a.next, a.next_bytes, panel_end - a.panel_begin, a.rhs.k_groups, tiles.count);
  const std::size_t fetching = tiles.count - next.tiles();
  const std::size_t step = FetchAhead::step_of(Product::template group_bytes<4>, fetching);
  for (std::size_t panel = a.panel_begin; panel < panel_end; ++panel, out += 4 * Isa::width) {
    const void* weights = Product::template panel<4>(a.rhs, panel);
    FetchAhead ahead(panel + 1 < panel_end ? Product::template panel<4>(a.rhs, panel + 1) : weights, step);
    tiles.for_each([&](std::size_t tile, std::size_t m, std::size_t height) BYTEGATE_LAMBDA {
      if (tile >= fetching) ahead = next.part();
      with_height<1, Product::mr>(height, [&]<int rows>() BYTEGATE_LAMBDA {
        gemm_tile<Product, rows, 4>(a, m, weights, panel * (4 * Isa::width), ahead, out + m * a.out_stride,
                                    [](float* row, std::size_t column, F y)
                                        BYTEGATE_LAMBDA { Isa::store(row + column, y); });
      });
    });
  }
}

/// The same of one row by pairs of panels: see Product::row_by_pairs.
template <class Product>
__attribute__((noinline)) void gemm_row_by_pairs(const GemmArgs& args, std::size_t panel_end, float* out) {
  using Isa = typename Product::Isa;
  constexpr std::size_t nr = 4 * Isa::width;
  GemmArgs a = args;
  const std::size_t pairs = (panel_end - a.panel_begin) / 2;
  const std::size_t apart = pairs * a.rhs.k_groups * Product::template group_bytes<4>;
  const auto store = [](float* row, std::size_t column, typename Isa::F y)
                         BYTEGATE_LAMBDA { Isa::store(row + column, y); };
  FetchAhead ahead;
  for (std::size_t i = 0; i < pairs; ++i, ++a.panel_begin, out += nr) {
    typename Product::template Tile<1, 8, 4> tile;
    tile.run(a.lhs, 0, Product::template panel<4>(a.rhs, a.panel_begin), a.rhs, ahead, apart);
    store_tile<Isa, 1, 0, 4>(a, tile, a.panel_begin * nr, out, store);
    store_tile<Isa, 1, 4, 4>(a, tile, (a.panel_begin + pairs) * nr, out + pairs * nr, store);
  }
  a.panel_begin += pairs;
  if (a.panel_begin < panel_end) gemm_panels<Product>(a, panel_end, out + pairs * nr);
}

/// The last `columns` columns, less than a panel, some vectors after the other.
template <class Product>
__attribute__((noinline)) void gemm_vectors(const GemmArgs& args, std::size_t columns) {
  using Isa = typename Product::Isa;
  constexpr int vectors = Product::least_vectors, mr = Product::mr, half = (mr + 1) / 2;
  const GemmArgs a = args;
  // Tiles of three heights do. The last begins early, and computes some rows twice.
  const std::size_t rows = a.lhs.rows, by_half = tile_count(rows, half) * half, by_mr = tile_count(rows, mr) * mr;
  const std::size_t height = rows < half ? 1 : rows < mr || by_half < by_mr ? half : mr;
  for (std::size_t n = a.n_out - columns; n < a.n_out; n += vectors * Isa::width) {
    const void* weights = Product::vectors(a.rhs, n);
    const std::size_t left = a.n_out - n;
    FetchAhead ahead(weights, 0);
    const auto store = [&](float* row, std::size_t column, typename Isa::F y) BYTEGATE_LAMBDA {
      if (column < left) store_at_most<Isa>(row + column, y, left - column);
    };
    for (std::size_t row = 0; row < rows; row += height) {
      const std::size_t m = rows - row < height ? rows - height : row;
      const auto tile = [&]<int tile_rows>() BYTEGATE_LAMBDA {
        if (height != tile_rows) return;
        gemm_tile<Product, tile_rows, vectors>(a, m, weights, n, ahead, a.out + m * a.out_stride + n, store);
      };
      tile.template operator()<1>();
      if constexpr (half > 1) tile.template operator()<half>();
      if constexpr (mr > half) tile.template operator()<mr>();
    }
  }
}

/// The same by tiles of a whole panel, which go through memory of this function.
template <class Product>
__attribute__((noinline)) void gemm_cut_panel(const GemmArgs& args, std::size_t columns) {
  using Isa = typename Product::Isa;
  constexpr std::size_t nr = 4 * Isa::width, at_once = 4 * Product::mr;
  const std::size_t panel = (args.n_out - columns) / nr;
  typename Isa::F y[at_once * 4];
  GemmArgs a = args;
  a.out_stride = nr;
  a.panel_begin = panel;
  a.next_bytes = 0;
  for (std::size_t row = 0; row < args.lhs.rows; row += at_once) {
    a.lhs = rows_from(args.lhs, row);
    if (a.lhs.rows > at_once) a.lhs.rows = at_once;
    gemm_panels<Product>(a, panel + 1, reinterpret_cast<float*>(y));
    for (std::size_t r = 0; r < a.lhs.rows; ++r) {
      const typename Isa::F* from = y + 4 * r;
      float* to = args.out + (row + r) * args.out_stride + panel * nr;
      std::size_t column = 0;
      for (; column + Isa::width <= columns; column += Isa::width) Isa::store(to + column, *from++);
      if (column < columns) Isa::store_first(to + column, *from, columns - column);
    }
  }
}

template <class Product>
void gemm(const GemmArgs* args) {
  constexpr std::size_t nr = 4 * Product::Isa::width;
  const GemmArgs& a = *args;
  const std::size_t whole = a.n_out / nr, columns = a.n_out % nr;
  const std::size_t end = whole < a.panel_end ? whole : a.panel_end;
  if (a.panel_begin < end) {
    auto panels = gemm_panels<Product>;
    if constexpr (Product::row_by_pairs) {
      if (a.lhs.rows == 1 && a.from_memory != 0) panels = gemm_row_by_pairs<Product>;
    }
    panels(a, end, a.out + a.panel_begin * nr);
  }
  if (columns == 0 || whole < a.panel_begin || whole >= a.panel_end) return;
  if constexpr (Product::least_vectors < 4) {
    // One vector of few rows has too few independent sums, and one of many takes 1.2 times its part of a panel's time.
    const std::size_t most = a.lhs.rows < Product::mr ? 2 : 3;
    if (columns <= most * Product::Isa::width) return gemm_vectors<Product>(a, columns);
  }
  gemm_cut_panel<Product>(a, columns);
}

}  // namespace bytegate::kernels
