// The ceilings of tile registers (ceiling.h): two by two tiles, as the kernels multiply them.
#include "backends/amx/isa.h"
#include "bench/ceiling_loops.h"

namespace bytegate::backends {
extern const BackendKernels avx512vnni_kernels;
void amx_tile_gemm(const GemmArgs* args);
}  // namespace bytegate::backends

namespace bytegate::bench {
namespace {

constexpr std::size_t kTileMacs = 16 * 16 * 64;

struct TileLoops : TileBlocks {
  static void products(std::size_t iterations) {
    const TileBlocks blocks(max_rows);
    for (std::size_t i = 0; i < iterations; ++i) {
      multiply<0, 4, 6>();
      multiply<1, 4, 7>();
      multiply<2, 5, 6>();
      multiply<3, 5, 7>();
    }
  }

  static void products_from_memory(const void* data, std::size_t bytes, std::size_t iterations) {
    const TileBlocks blocks(max_rows);
    const auto* from = static_cast<const std::uint8_t*>(data);
    for (std::size_t i = 0, at = 0; i < iterations; ++i, at = at + 4 * tile_bytes < bytes ? at + 4 * tile_bytes : 0) {
      multiply_rows<2, false>(from + at, tile_k, reinterpret_cast<const std::int8_t*>(from + at + 2 * tile_bytes),
                              tile_bytes);
    }
  }
};

void vector_gemm(const GemmArgs* args) { backends::avx512vnni_kernels.int8->gemm(args); }

constexpr TileCeiling kTiles = {TileLoops::products_from_memory, 4 * kTileMacs, backends::amx_tile_gemm, vector_gemm};

}  // namespace

extern const Ceiling ceiling_amx;
const Ceiling ceiling_amx = {"amx", TileLoops::products, 4 * kTileMacs, read_loop<Isa, 1>, read_loop<Isa, 4>, &kTiles};

}  // namespace bytegate::bench
