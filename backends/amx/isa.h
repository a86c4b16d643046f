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
#include "kernels/static_for.h"

namespace {

struct Isa : Avx512Vectors {
  static constexpr std::uint32_t kr = 4;
  static constexpr std::int32_t activation_bias = 0;
  static BYTEGATE_INLINE I add_pair_products(I acc, I a, I b) { return _mm512_dpwssd_epi32(acc, a, b); }
};

/// The block product (kernels/block_gemm.h) of tile registers. Sums are in tiles 0 to 3. Up to 16 rows: activations in
/// tile 4, weights of up to 4 vectors in 5 to 7 in turn. More: activations in 4 and 5, weights of up to 2 vectors in 6
/// and 7, and the sums of the second 16 rows in tiles 2 and 3.
class TileBlocks {
 public:
  using Isa = ::Isa;
  static constexpr std::size_t max_rows = 32;

  static constexpr int vectors_at_once(std::size_t rows) { return rows <= tile_rows ? 4 : 2; }

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

  template <int count>
  BYTEGATE_INLINE void sums(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                            const bytegate::PackedMatrix& rhs, std::int32_t* out, std::size_t out_stride) const {
    if (rows_ <= tile_rows) {
      one_high<count>(lhs, stride, weights, rhs, out, out_stride);
    } else if constexpr (count <= 2) {
      two_high<count>(lhs, stride, weights, rhs, out, out_stride);
    }
  }

 protected:
  static constexpr std::size_t tile_rows = 16, tile_k = 64, tile_bytes = 1024;

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
  template <int tile>
  static BYTEGATE_INLINE void load(const void* from, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
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

  template <int count>
  static BYTEGATE_INLINE void one_high(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                                       const bytegate::PackedMatrix& rhs, std::int32_t* out, std::size_t out_stride) {
    const std::size_t vector_size = rhs.k_groups * (Isa::width * Isa::kr);
    bytegate::kernels::static_for<count>([]<int v>() BYTEGATE_LAMBDA { zero<v>(); });
    for (std::size_t k = 0; k < rhs.k; k += tile_k, lhs += tile_k, weights += tile_bytes) {
      load<4>(lhs, stride);
      bytegate::kernels::static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
        load<5 + v % 3>(weights + v * vector_size, tile_k);
        multiply<v, 4, 5 + v % 3>();
      });
    }
    bytegate::kernels::static_for<count>([&]<int v>() BYTEGATE_LAMBDA { store<v>(out + v * Isa::width, out_stride); });
  }

  template <int count>
  static BYTEGATE_INLINE void two_high(const std::uint8_t* lhs, std::size_t stride, const std::int8_t* weights,
                                       const bytegate::PackedMatrix& rhs, std::int32_t* out, std::size_t out_stride) {
    const std::size_t vector_size = rhs.k_groups * (Isa::width * Isa::kr);
    bytegate::kernels::static_for<count>([]<int v>() BYTEGATE_LAMBDA {
      zero<v>();
      zero<2 + v>();
    });
    for (std::size_t k = 0; k < rhs.k; k += tile_k, lhs += tile_k, weights += tile_bytes) {
      load<4>(lhs, stride);
      load<5>(lhs + tile_rows * stride, stride);
      bytegate::kernels::static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
        load<6 + v>(weights + v * vector_size, tile_k);
        multiply<v, 4, 6 + v>();
        multiply<2 + v, 5, 6 + v>();
      });
    }
    bytegate::kernels::static_for<count>([&]<int v>() BYTEGATE_LAMBDA {
      store<v>(out + v * Isa::width, out_stride);
      store<2 + v>(out + tile_rows * out_stride + v * Isa::width, out_stride);
    });
  }

  std::size_t rows_;
};

}  // namespace
