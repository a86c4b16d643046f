// What the loops of this folder ask of a backend: its vectors (VectorIsa) and its int8 product (Int8Product). Both are
// structs of static functions in the anonymous namespace of the backend's isa.h, so that everything instantiated over
// them has internal linkage. The table (table.h) checks them.
#pragma once

#include <bytegate/backend.h>

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "kernels/fetch_ahead.h"

namespace bytegate::kernels {

/// Of vectors of several lanes:
///   swap_neighbours          lanes 1, 0, 3, 2, ...
///   alternate(even, odd)     lanes 0, 2, ... of the floats, lanes 1, 3, ... of the bits of the integers
///   to_int                   of floats that fit, rounded half to even
template <class V>
concept LanesOrOne = V::width == 1 || requires(typename V::F f, typename V::I i) {
  { V::swap_neighbours(f) } -> std::same_as<typename V::F>;
  { V::alternate(f, i) } -> std::same_as<typename V::F>;
  { V::to_int(f) } -> std::same_as<typename V::I>;
};

/// Vectors of `width` lanes: F of float, I of int32, each with + * (F also - /) and a constructor from one value for
/// all lanes.
///   load, store              of any alignment
///   load_first, store_first  the first n lanes, 0 < n < width; no memory behind them is touched, the other lanes are
///                            loaded as 0
///   fma(a, b, c)             a * b + c, rounded once
///   min, max                 a < b ? a : b and a > b ? a : b: the second operand when either is NaN or both are zero
///   max_as_signed,           the larger of their bits as integers
///   max_as_unsigned
///   reduce_max_as_signed,    the same of all lanes of a vector
///   reduce_max_as_unsigned
///   to_float                 rounded half to even
///   pin_register(v)          makes v a register's: compilers would load it again for each use, or move it to another
///   registers                how many vectors the CPU's registers hold
///   float_mr                 rows of a tile of the float product
template <class V>
concept VectorIsa = LanesOrOne<V> && requires(typename V::F f, typename V::I i, const float* in, float* out,
                                              const std::int32_t* integers, std::size_t n) {
  { V::width + V::registers + V::float_mr } -> std::convertible_to<std::uint32_t>;
  { f + f } -> std::convertible_to<typename V::F>;
  { f - f } -> std::convertible_to<typename V::F>;
  { f* f } -> std::convertible_to<typename V::F>;
  { f / f } -> std::convertible_to<typename V::F>;
  { i + i } -> std::convertible_to<typename V::I>;
  { i* i } -> std::convertible_to<typename V::I>;
  {typename V::F(0.5f)};
  {typename V::I(std::int32_t{1})};
  { V::load(in) } -> std::same_as<typename V::F>;
  { V::load(integers) } -> std::same_as<typename V::I>;
  { V::load_first(in, n) } -> std::same_as<typename V::F>;
  {V::store(out, f)};
  {V::store_first(out, f, n)};
  { V::fma(f, f, f) } -> std::same_as<typename V::F>;
  { V::min(f, f) } -> std::same_as<typename V::F>;
  { V::max(f, f) } -> std::same_as<typename V::F>;
  { V::max_as_signed(f, f) } -> std::same_as<typename V::F>;
  { V::max_as_unsigned(f, f) } -> std::same_as<typename V::F>;
  { V::reduce_max_as_signed(f) } -> std::same_as<float>;
  { V::reduce_max_as_unsigned(f) } -> std::same_as<float>;
  { V::to_float(i) } -> std::same_as<typename V::F>;
  {V::pin_register(f)};
  {V::pin_register(i)};
};

/// The exact int8 product of a backend, on top of its vectors.
///   mr, l2_bytes, lhs_size             as in Kernels
///   block_channels, kr                 as in PackedLayout
///   activation_bias                    subtracted from activations 0..255 when they are staged: 128 for signed
///                                      products, else 0
///   store_quantized(q, v, zp)          q = clamp(round_half_even(v) + zp, 0, 255) - activation_bias, `width` times
///                                      lhs_size bytes; |v| is at most 256
///   store_four_quantized(q, v0, v1, v2, v3, zp)   optional: the same of four vectors, one behind the other
///   add_pair_products(acc, a, b)       optional: acc + a * b of the low 16 bits of each lane + a * b of the high ones,
///                                      all signed. The sums of weights are then SumFormat::pair; activation_bias is 0
///   takes_vector_blocks                optional: DotTile takes panels in blocks of one vector, too
///   row_by_pairs                       optional: one row takes panels of weights from memory two by two. run of a
///                                      Tile<1, 8, 4> has the bytes from the first of them to the second behind `ahead`
///   least_vectors                      vectors of a panel of 4 that a tile may take alone: 1, 2 or 4
///   Tile<rows, vectors, of = vectors>  the sums of `rows` rows by `vectors` vectors of channels of a panel that has
///                                      `of`: kernels::DotTile, UnrolledTile or the backend's own
///     run(lhs, stride, panel, rhs, ahead)
///                                      sums over the whole of k; lhs is the first row, panel the first weight;
///                                      the tile may fetch ahead
///     sum<r, v>()                      of row r and vector v, of staged activations by weights
template <class P>
concept Int8Product = VectorIsa<P> &&
    requires(typename P::template Tile<1, 4> tile, std::uint8_t* q, typename P::F f, typename P::I i,
             const void* operand, std::size_t stride, const PackedMatrix& rhs, FetchAhead& ahead) {
  {
    P::mr + P::l2_bytes + P::block_channels + P::kr + P::lhs_size + P::least_vectors
    } -> std::convertible_to<std::uint32_t>;
  { P::activation_bias } -> std::convertible_to<std::int32_t>;
  {P::store_quantized(q, f, i)};
  {tile.run(operand, stride, operand, rhs, ahead)};
  { tile.template sum<0, 3>() } -> std::convertible_to<typename P::I>;
};

}  // namespace bytegate::kernels
