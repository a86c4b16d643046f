// AMX: tdpbusd multiplies 16 rows of 64 unsigned activations by 64 weights of 16 channels, exact in int32.
//
// A packed block of 16 channels by groups of 4 k is already what tdpbusd takes: 16 groups are one tile of 16 rows of 64
// bytes. k is padded to whole tiles with zero weights; whatever stands behind a row of activations is multiplied by
// those.
#pragma once

// g++'s names, and those of clang++ up to 14.
#if !(defined(__AMX_TILE__) && defined(__AMX_INT8__)) && !(defined(__AMXTILE__) && defined(__AMXINT8__))
#error "compile this file with -mamx-tile -mamx-int8"
#endif

#define BYTEGATE_XSIMD xsimd_amx
#include <bytegate/backend.h>

#include "backends/common/avx512_vectors.h"
#include "kernels/fetch_ahead.h"
#include "kernels/static_for.h"

namespace {

struct Isa : Avx512Vectors {
  static constexpr std::uint32_t kr = 4, l2_bytes = 1280 << 10;  ///< of 2 MB
  static constexpr std::int32_t activation_bias = 0;
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return _mm512_dpwssd_epi32(acc, a, b); }
};

/// The block product (kernels/block_gemm.h) of tile registers. Sums are in tiles 0 to 3. Up to 16 rows: activations in
/// tile 4, weights of up to 4 vectors in 5 to 7 in turn. More: activations in 4 and 5, weights of up to 2 vectors at a
/// time in 6 and 7, and the sums of the second 16 rows in tiles 2 and 3.
class TileBlocks {
 public:
  using Isa = ::Isa;
  using WeightsIn = bytegate::kernels::WeightsIn;
  static constexpr std::size_t tile_rows = 16, max_rows = 2 * tile_rows;

  explicit BYTEGATE_INLINE TileBlocks(std::size_t rows) : rows_(rows) {
    const std::size_t first = rows < tile_rows ? rows : tile_rows, second = rows - first;
    Config config;
    const auto set = [&](int tile, std::size_t height) BYTEGATE_LAMBDA {
      config.row_bytes[tile] = 64;
      config.rows[tile] = static_cast<std::uint8_t>(height);
    };
    set(0, first);
    set(1, first);
    set(2, second > 0 ? second : first);
    set(3, second > 0 ? second : first);
    set(4, first);
    set(5, second > 0 ? second : tile_rows);
    set(6, tile_rows);
    set(7, tile_rows);
    // Not _tile_loadconfig: g++ 12 takes it to read 8 bytes, and may delete the stores to the others.
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  BYTEGATE_INLINE ~TileBlocks() { asm volatile("tilerelease" : : : "memory"); }
  TileBlocks(const TileBlocks&) = delete;
  TileBlocks& operator=(const TileBlocks&) = delete;

  template <int vectors>
  BYTEGATE_INLINE std::size_t steps(std::size_t k) const {
    return (k + tile_k - 1) / tile_k * (rows_ > tile_rows && vectors > 2 ? 2 : 1);
  }

  template <int vectors, class Between>
  BYTEGATE_INLINE void panel_sums(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                                  const bytegate::PackedMatrix& rhs, WeightsIn in, std::int32_t* out,
                                  const Between& between) const {
    const Operands of{lhs, stride, weights, rhs.k_groups * (Isa::width * Isa::kr), rhs.k, in == WeightsIn::beyond_l2};
    if (in == WeightsIn::l1) {
      sums<vectors, false>(of, out, between);
    } else {
      sums<vectors, true>(of, out, between);
    }
  }

 protected:
  static constexpr std::size_t tile_k = 64, tile_bytes = 1024;

  /// The operand of ldtilecfg.
  struct alignas(64) Config {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };

  template <int tile>
  static BYTEGATE_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  /// streamed: the line need not stay in L1.
  template <int tile, bool streamed = false>
  static BYTEGATE_INLINE void load(const void* from, std::size_t stride) {
    if constexpr (streamed) {
      asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
    } else {
      asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
    }
  }
  template <int tile>
  static BYTEGATE_INLINE void store(std::int32_t* to, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
                 :
                 : "r"(to), "r"(stride * sizeof(std::int32_t)), "i"(tile)
                 : "memory");
  }
  template <int sum, int activations, int weights>
  static BYTEGATE_INLINE void multiply() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(activations), "i"(weights));
  }

  /// One step over k of a tile of rows by up to 4 vectors. In this order, and in that of multiply_rows, loads and
  /// products overlap (docs/decisions/0010-tiles-through-memory.md).
  template <int count, bool streamed>
  static BYTEGATE_INLINE void multiply_row(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                                           std::size_t vector_size) {
    using bytegate::kernels::static_for;
    load<4>(lhs, stride);
    static_for<(count < 3 ? count : 3)>(
        [&]<int v>() BYTEGATE_LAMBDA { load<5 + v, streamed>(weights + v * vector_size, tile_k); });
    static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
      multiply<v, 4, 5 + v % 3>();
      if constexpr (v + 3 < count) load<5 + v % 3, streamed>(weights + (v + 3) * vector_size, tile_k);
    });
  }
  /// Of two tiles of rows by up to 2 vectors.
  template <int count, bool streamed>
  static BYTEGATE_INLINE void multiply_rows(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                                            std::size_t vector_size) {
    load<6, streamed>(weights, tile_k);
    load<4>(lhs, stride);
    multiply<0, 4, 6>();
    if constexpr (count > 1) load<7, streamed>(weights + vector_size, tile_k);
    load<5>(lhs + tile_rows * stride, stride);
    if constexpr (count > 1) multiply<1, 4, 7>();
    multiply<2, 5, 6>();
    if constexpr (count > 1) multiply<3, 5, 7>();
  }

  struct Operands {
    const std::uint8_t* lhs;
    std::size_t stride;
    const std::int8_t* weights;
    std::size_t vector_size;  ///< bytes from one vector of channels to the next
    std::size_t k;
    bool fetch;  ///< weights to come, in part: while other work is done between, the CPU does not fetch enough of them
  };

  template <int vectors, bool streamed, class Between>
  BYTEGATE_INLINE void sums(const Operands& of, std::int32_t* out, const Between& between) const {
    if (rows_ <= tile_rows) {
      tile_sums<1, vectors, vectors, streamed>(of, out, between);
    } else {
      tile_sums<2, (vectors < 2 ? vectors : 2), vectors, streamed>(of, out, between);
      if constexpr (vectors > 2) {
        Operands rest = of;
        rest.weights += 2 * of.vector_size;
        tile_sums<2, vectors - 2, vectors, streamed>(rest, out + 2 * Isa::width, between);
      }
    }
  }

  /// The sums of `high` tiles of rows and `count` vectors of a panel of `vectors`. Sums are in tiles 2 * row + vector,
  /// or of one row in tiles 0 to 3.
  template <int high, int count, int vectors, bool streamed, class Between>
  static BYTEGATE_INLINE void tile_sums(const Operands& of, std::int32_t* out, const Between& between) {
    using bytegate::kernels::fetch_piece, bytegate::kernels::static_for;
    constexpr std::size_t out_stride = vectors * Isa::width;
    static_for<high * count>([]<int i>() BYTEGATE_LAMBDA { zero<2 * (i / count) + i % count>(); });
    const std::uint8_t* lhs = of.lhs;
    const std::int8_t* weights = of.weights;
    for (std::size_t k = 0; k < of.k; k += tile_k, lhs += tile_k, weights += tile_bytes) {
      if constexpr (high == 1) {
        multiply_row<count, streamed>(lhs, of.stride, weights, of.vector_size);
      } else {
        multiply_rows<count, streamed>(lhs, of.stride, weights, of.vector_size);
      }
      if (of.fetch) {
        static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
          const std::int8_t* ahead = weights + v * of.vector_size + 2 * tile_bytes;
          fetch_piece(ahead, 64);
          fetch_piece(ahead + tile_bytes / 2, 64);
        });
      }
      between();
    }
    static_for<high * count>([&]<int i>() BYTEGATE_LAMBDA {
      constexpr int r = i / count, v = i % count;
      store<2 * r + v>(out + r * tile_rows * out_stride + v * Isa::width, out_stride);
    });
  }

  std::size_t rows_;
};

}  // namespace
