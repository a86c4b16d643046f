// What a backend's instructions and the memory behind them can do at most on this CPU.
#pragma once

#include <bytegate/backend.h>

#include <cstddef>
#include <cstdint>

namespace bytegate::bench {

/// Tile registers, and the choice between them and vectors.
struct TileCeiling {
  /// As `products` of Ceiling, every operand loaded first, from one after the other of the `bytes` (a multiple of 4096)
  /// at data; multiply-adds of one iteration.
  void (*products_from_memory)(const void* data, std::size_t bytes, std::size_t iterations);
  std::size_t macs;
  /// Both forms of the backend's gemm, for any number of rows.
  void (*tile_gemm)(const GemmArgs* args);
  void (*vector_gemm)(const GemmArgs* args);
};

/// Measured by code compiled with the backend's own flags; run it only where the backend is supported.
struct Ceiling {
  const char* name;
  /// Runs `iterations` of the backend's int8 product (all its instructions) on registers alone; multiply-adds of one
  /// iteration.
  void (*products)(std::size_t iterations);
  std::size_t macs;
  /// Reads `bytes` (a multiple of 4096) at `data` once, with the backend's vector loads, in one stream and in four,
  /// each of a quarter. The result means nothing.
  std::int32_t (*read)(const void* data, std::size_t bytes);
  std::int32_t (*read_four)(const void* data, std::size_t bytes);
  /// What only a backend with two products has, else null.
  const TileCeiling* tiles;
};

extern const Ceiling* const kCeilings[];  ///< ends with null

}  // namespace bytegate::bench
