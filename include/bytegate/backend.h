// What a backend is: a plain, constant table of numbers and functions. The library's own backends and a user's
// (register_backend, see backends.h) are the same kind of thing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bytegate {

/// Raised when the meaning or layout of any struct in this file changes.
inline constexpr std::uint32_t kBackendAbi = 1;

/// Products of more than this many terms could overflow int32: 65,536 * 255 * 128 < 2^31 <= 65,793 * 255 * 128.
inline constexpr std::size_t kMaxK = 65536;

/// CPU features that backends ask for, as bits. A bit is set only if the operating system saves the registers too.
using CpuFeatures = std::uint64_t;
enum CpuFeature : CpuFeatures {
  kAvx2 = 1u << 0,
  kFma3 = 1u << 1,
  kAvxVnni = 1u << 2,  ///< VEX-encoded vpdpbusd
  kAvx512F = 1u << 3,
  kAvx512Bw = 1u << 4,
  kAvx512Dq = 1u << 5,
  kAvx512Vl = 1u << 6,
  kAvx512Vnni = 1u << 7,
  kNeon = 1u << 8,
  kDotProd = 1u << 9,
  kI8mm = 1u << 10,
};

/// Range of one activation row, widened to hold 0: lo <= 0 <= hi. Both are NaN for a row with NaN or infinity.
struct RowRange {
  float lo;
  float hi;
};

/// Affine quantization of one activation row: x ~ scale * (q - zero_point), q in 0..255. A NaN scale marks a row
/// with NaN or infinity: every output of that row is NaN.
struct RowScale {
  float scale;
  std::int32_t zero_point;
};

/// Float rows in memory: row r starts at data + r * stride.
struct FloatRows {
  const float* data;
  std::size_t stride;  ///< in floats
  std::size_t rows;
  std::size_t cols;
};

/// The left operand of a product: `rows` rows of activations in the form Kernels::stage_rows writes.
struct StagedRows {
  void* data;           ///< 64-byte aligned
  std::size_t stride;   ///< bytes between rows, a multiple of 64, at least round_up(k, kr) * element size
  RowScale* scales;     ///< one a row; unused by float kernels
  std::size_t rows;
};

/// The right operand: a weight matrix [n, k] in panels of nr output channels, in which nb channels lie together. With p = n % nr, element
/// (n, k) of segment s lies at
///   data + (((n / nr * segments + s) * (nr / nb) + p / nb) * k_groups + k / kr) * nb * kr + p % nb * kr + k % kr     (in elements)
/// with zeros where n or k runs past the end. All arrays are 64-byte aligned and padded to whole panels.
struct PackedMatrix {
  const void* data;
  const float* scales;        ///< [n padded] weight scale of each channel (int8 only)
  const std::int32_t* sums;   ///< [n padded] sum over k of each channel's weights (int8 only)
  const float* bias;          ///< [n padded] zeros where there is none
  std::size_t n;
  std::size_t k;
  std::size_t k_groups;       ///< round_up(k, kr) / kr
  std::size_t segments;       ///< 2 if -128 had to be split (Kernels::splits_minus_128), else 1
};

/// out[m, n] = product + bias, optionally max(0, .), for all rows of lhs and the channels of panels
/// [panel_begin, panel_end). Columns from n_out on are not stored.
struct GemmArgs {
  StagedRows lhs;
  PackedMatrix rhs;
  float* out;
  std::size_t out_stride;  ///< in floats
  std::size_t n_out;
  std::size_t panel_begin;
  std::size_t panel_end;
  std::uint32_t relu;      ///< 1: max(0, y); NaN stays NaN
};

/// One time step of an LSTM for the hidden units of panels [panel_begin, panel_end). A panel holds the gates
/// i, f, g, o of nr / 4 units, one gate after the other: unit u's gate j is channel (u / w * 4 + j) * w + u % w with w = nr / 4.
///   i, f, g, o = gates + rhs * h;   c = sigmoid(f) * c + sigmoid(i) * tanh(g);   h = sigmoid(o) * tanh(c)
struct LstmStepArgs {
  StagedRows lhs;           ///< h of the step before
  PackedMatrix rhs;         ///< weight_hh, channels in the order above; its bias is not used
  const float* gates;       ///< [rows, n padded] input product and bias, in the same channel order
  std::size_t gates_stride; ///< in floats
  float* c;                 ///< [rows, units padded to w], updated in place
  std::size_t c_stride;
  float* h;                 ///< [rows, units]; columns past `units` are not stored
  std::size_t h_stride;
  std::size_t units;
  RowRange* ranges;         ///< one a row, out: range of the h values written, with 0 (int8 only)
  std::size_t panel_begin;
  std::size_t panel_end;
};

/// The kernels of one element type on one backend. All functions are thread safe, allocate nothing and throw nothing.
struct Kernels {
  std::uint32_t mr;               ///< rows a tile handles at once
  std::uint32_t nr;               ///< channels of a panel, a multiple of 4
  std::uint32_t nb;               ///< channels of a panel that lie together, a divisor of nr
  std::uint32_t kr;               ///< consecutive k of a channel
  std::uint32_t lhs_size;         ///< bytes of a staged activation
  std::uint32_t rhs_size;         ///< bytes of a weight: 1 (int8) or 4 (float)
  std::uint32_t splits_minus_128; ///< 1: a weight of -128 must come as -127 in segment 0 and -1 in segment 1

  /// Range of each row of x.
  void (*find_ranges)(const FloatRows* x, RowRange* ranges);
  /// Writes x to `out`, quantized (int8) or copied (float). The rest of a row's stride may be overwritten with anything.
  /// The scale of a row comes from its range: ranges[r] if `ranges` is not null (the caller knows it), else found here;
  /// unless `fixed` is not null, which then holds for all rows and comes with its inverse scale.
  void (*stage_rows)(const FloatRows* x, const RowRange* ranges, const RowScale* fixed, float fixed_inverse, StagedRows* out);
  void (*gemm)(const GemmArgs* args);
  void (*lstm_step)(const LstmStepArgs* args);
};

/// Elementwise functions, y[i] = f(x[i]), i < n; in place is allowed. Within 3e-7 of the true value for every float.
using ElementwiseFn = void (*)(const float* x, float* y, std::size_t n);

/// All kernels of one backend.
struct BackendKernels {
  Kernels int8;
  Kernels f32;
  ElementwiseFn sigmoid;
  ElementwiseFn tanh;
};

struct Backend {
  std::uint32_t abi;      ///< kBackendAbi
  std::uint32_t size;     ///< sizeof(Backend)
  const char* name;       ///< [a-z0-9_]+; its name everywhere: folder, BYTEGATE_BACKEND, tests, benchmarks
  const char* description;  ///< a few words for `bytegate info`
  std::int32_t priority;  ///< the supported backend with the highest is chosen
  CpuFeatures required;   ///< features without which it cannot run
  int (*supported)();     ///< further conditions of a user's backend, or null
  const BackendKernels* kernels;
};

}  // namespace bytegate
