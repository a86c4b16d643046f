// What a backend is: a plain, constant table of numbers and functions. The library's own backends and those of users
// (register_backend and load_backend, see backends.h) are the same kind of thing. This header needs no other of the
// library.
#pragma once

#include <bytegate/config.h>

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)
namespace bytegate {

/// Raised when the meaning or layout of any struct in this file changes.
inline constexpr std::uint32_t kBackendAbi = 9;

/// Products of more than this many terms could overflow int32: 65,536 * 255 * 128 < 2^31 <= 65,793 * 255 * 128.
inline constexpr std::size_t kMaxK = 65536;

/// The sum of a channel's weights is at most this, and at least its negative: that of kMaxK weights of 127.
inline constexpr std::int32_t kMaxWeightSum = 127 * static_cast<std::int32_t>(kMaxK);

/// A set of CPU features, one bit each. A bit is set only if the operating system saves the registers of that feature
/// too.
using CpuFeatures = std::uint64_t;

namespace cpu_feature {
inline constexpr CpuFeatures avx2 = CpuFeatures{1} << 0;
inline constexpr CpuFeatures fma3 = CpuFeatures{1} << 1;
inline constexpr CpuFeatures avxvnni = CpuFeatures{1} << 2;  ///< vpdpbusd in its VEX encoding
inline constexpr CpuFeatures avx512f = CpuFeatures{1} << 3;
inline constexpr CpuFeatures avx512bw = CpuFeatures{1} << 4;
inline constexpr CpuFeatures avx512dq = CpuFeatures{1} << 5;
inline constexpr CpuFeatures avx512vl = CpuFeatures{1} << 6;
inline constexpr CpuFeatures avx512vnni = CpuFeatures{1} << 7;
inline constexpr CpuFeatures neon = CpuFeatures{1} << 8;
inline constexpr CpuFeatures dotprod = CpuFeatures{1} << 9;
inline constexpr CpuFeatures i8mm = CpuFeatures{1} << 10;
inline constexpr CpuFeatures amx_tile = CpuFeatures{1} << 11;
inline constexpr CpuFeatures amx_int8 = CpuFeatures{1} << 12;
inline constexpr CpuFeatures all = (CpuFeatures{1} << 13) - 1;  ///< every feature above
}  // namespace cpu_feature

// ------------------------------------------------------------------------------------------------------------------
// Packing. Layers, tests and backends compute positions with these functions alone.

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// How a weight matrix [n, k] is packed. Its n output channels are divided into panels. A panel consists of blocks of
/// block_channels channels. A block holds, for one group of kr consecutive k after the other, those kr weights of each
/// of its channels.
struct PackedLayout {
  std::uint32_t panel_channels;  ///< 4 vectors of channels: a multiple of 4
  std::uint32_t block_channels;  ///< a divisor of panel_channels
  std::uint32_t kr;              ///< consecutive k of one channel: a divisor of 64
  std::uint32_t k_block;         ///< k is padded with zeros to a multiple of this: a multiple of kr and a divisor of 64
};

/// Groups of kr that hold k values of one channel and their padding.
constexpr std::size_t k_groups(const PackedLayout& layout, std::size_t k) {
  return round_up(k, layout.k_block) / layout.kr;
}

/// Channels of a matrix of n channels, padded to whole panels.
constexpr std::size_t padded_channels(const PackedLayout& layout, std::size_t n) {
  return round_up(n, layout.panel_channels);
}

/// Elements of a packed matrix [n, k].
constexpr std::size_t packed_size(const PackedLayout& layout, std::size_t n, std::size_t k) {
  return padded_channels(layout, n) * k_groups(layout, k) * layout.kr;
}

/// Position of weight (n, k) in a packed matrix, in elements. groups = k_groups(layout, k of the matrix). Always
/// inline: a backend that calls it leaves no copy with its instructions for others to link.
[[gnu::always_inline]] constexpr std::size_t packed_index(const PackedLayout& layout, std::size_t groups, std::size_t n,
                                                          std::size_t k) {
  const std::size_t block = n / layout.block_channels, channel = n % layout.block_channels;
  return ((block * groups + k / layout.kr) * layout.block_channels + channel) * layout.kr + k % layout.kr;
}

/// The recurrent cells that a backend may have a step for. A GRU whose reset comes before the recurrent product takes
/// two: gru_reset, and then gru_candidate, whose product needs the result.
enum class Cell : std::uint32_t { lstm, gru, rnn, gru_reset, gru_candidate };
inline constexpr std::size_t kCells = 5;

/// Gates of a cell, in PyTorch's order: lstm i, f, g, o; gru r, z, n; rnn one; gru_reset r, z; gru_candidate n.
constexpr std::uint32_t cell_gates(Cell cell) {
  constexpr std::uint32_t gates[kCells] = {4, 3, 1, 2, 1};
  return gates[static_cast<std::size_t>(cell)];
}
/// Gates of a cell's input product: of the two steps of one GRU, three.
constexpr std::uint32_t cell_input_gates(Cell cell) {
  return cell == Cell::gru_reset || cell == Cell::gru_candidate ? 3 : cell_gates(cell);
}

/// Hidden units of a recurrent panel: one vector of channels for each gate.
constexpr std::uint32_t panel_units(const PackedLayout& layout) { return layout.panel_channels / 4; }

/// The layout of a cell's weight_hh: a panel holds `gates` vectors of channels in place of 4. If a panel of `layout` is
/// one block, and a vector at least 8 channels, this one is a block, too; else its blocks have the largest size that
/// divides both block_channels and the panel. It is `layout` itself for 4 gates.
constexpr PackedLayout recurrent_layout(const PackedLayout& layout, std::uint32_t gates) {
  const std::uint32_t channels = gates * panel_units(layout);
  if (layout.block_channels == layout.panel_channels && panel_units(layout) >= 8) {
    return {channels, channels, layout.kr, layout.k_block};
  }
  std::uint32_t a = channels, b = layout.block_channels;
  while (b != 0) {
    const std::uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return {channels, a, layout.kr, layout.k_block};
}

/// Channels of a recurrent matrix: `gates` for every unit, the units padded to whole panels of `units`.
constexpr std::size_t gate_channels(std::uint32_t units, std::uint32_t gates, std::size_t hidden_size) {
  return round_up(hidden_size, units) * gates;
}

/// The channel of a unit's gate. A panel of `units` hidden units holds one gate of all its units after the other.
constexpr std::size_t gate_channel(std::uint32_t units, std::uint32_t gates, std::size_t gate, std::size_t unit) {
  return (unit / units * gates + gate) * units + unit % units;
}

/// The row [gate * hidden_size + unit] of PyTorch's weight_ih or weight_hh that a channel holds; -1 for padding. The
/// inverse of gate_channel.
constexpr std::int64_t gate_row(std::uint32_t units, std::uint32_t gates, std::size_t hidden_size,
                                std::size_t channel) {
  const std::size_t unit = channel / units / gates * units + channel % units, gate = channel / units % gates;
  return unit < hidden_size ? static_cast<std::int64_t>(gate * hidden_size + unit) : -1;
}

/// How a packed matrix holds the sum s over k of a channel's weights, by which zero points z are corrected: z * s is
/// subtracted from an accumulator.
///   plain   s
///   pair    sum_pair(s), two 16-bit integers a and b with 128 * b - 127 * a = s. 127 * z and -128 * z are 16-bit
///           integers, too: one instruction adds both products, where a product of 32 bits takes two and an addition
enum class SumFormat : std::uint32_t { plain, pair };

/// a in the low half, b in the high one. |s| is at most kMaxWeightSum: then |q| is at most 32,640, and |r| 127.
constexpr std::int32_t sum_pair(std::int32_t s) {
  const std::int32_t q = (s + (s < 0 ? -127 : 127)) / 255, r = s - 255 * q, a = r - q, b = q + r;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(b) << 16 | (static_cast<std::uint32_t>(a) & 0xffff));
}

// ------------------------------------------------------------------------------------------------------------------
// Operands of the kernels.

/// Range of one activation row, widened to hold 0: lo <= 0 <= hi. Both are NaN for a row with NaN or infinity.
struct RowRange {
  float lo;
  float hi;
};

/// Affine quantization of one activation row: x ~ scale * (q - zero_point), q in 0..255. A NaN scale marks a row
/// with NaN or infinity: every output of that row is NaN.
struct RowScale {
  float scale;
  std::int32_t zero_point;  ///< 0..255
};

/// Float rows in memory, of any alignment: row r starts at data + r * stride. Kernels read `cols` floats of a row and
/// no more.
struct FloatRows {
  const float* data;   ///< may be null if rows or cols is 0
  std::size_t stride;  ///< in floats; may be smaller than cols (overlapping rows)
  std::size_t rows;
  std::size_t cols;
};

/// The left operand of a product: rows of activations in the form that Kernels::stage_rows writes. The form is the
/// backend's own; k values of a row take k * lhs_size bytes, and what stands behind them up to the stride is undefined.
struct StagedRows {
  void* data;          ///< 64-byte aligned
  std::size_t stride;  ///< bytes from row to row: a multiple of 64, at least round_up(k, k_block) * lhs_size (see
                       ///< staged_stride)
  RowScale* scales;    ///< [rows]; unused by float kernels
  std::size_t rows;
};

/// The right operand of a product: a weight matrix [n, k] packed by packed_index, with zeros where n or k runs past the
/// end. All arrays are 64-byte aligned and padded to whole panels; "padded" below is padded_channels(layout, n).
struct PackedMatrix {
  const void* data;              ///< packed_size(layout, n, k) elements of rhs_size bytes
  const float* scales;           ///< [padded] weight scale of each channel (int8 only)
  const std::int32_t* sums;      ///< [padded] sum over k of each channel's weights, in Kernels::sum_format (int8 only)
  const float* bias;             ///< [padded] zeros where there is none
  std::size_t n;                 ///< output channels
  std::size_t k;                 ///< at most kMaxK
  std::size_t k_groups;          ///< k_groups(layout, k)
  std::uint32_t block_channels;  ///< of the layout
  std::uint32_t
      has_minus_128;  ///< 1: some weight is -128, which a backend may have to multiply more slowly (int8 only)
};

/// out[m, n] = product[m, n] + bias[n], optionally max(0, .), for all rows m of lhs and the channels n of panels
/// [panel_begin, panel_end). The product is scale[m] * scales[n] * acc[m, n] for int8, with the exact sum acc = sum_k
/// (qx[m, k] - zero_point[m]) * qw[n, k], computed as fma(float(acc), scale[m] * scales[n], bias[n]); for float weights
/// it is the chain of fma in the order of k, to which the bias is added.
struct GemmArgs {
  StagedRows lhs;
  PackedMatrix rhs;
  float* out;              ///< [lhs.rows, n_out], of any alignment
  std::size_t out_stride;  ///< floats from row to row
  std::size_t n_out;       ///< columns from n_out on are not stored; at most the padded channels
  std::size_t panel_begin;
  std::size_t panel_end;
  std::uint32_t relu;             ///< 1: max(0, y); NaN stays NaN
  std::uint32_t from_memory = 0;  ///< 1: the weights of one row come from memory, not from a cache. It changes no
                                  ///< result.
  /// What the caller reads after this call: it may be fetched into a cache meanwhile. It changes no result.
  const void* next = nullptr;
  std::size_t next_bytes = 0;  ///< may be 0
};

/// One time step of a recurrent cell, for all rows of lhs and the hidden units of panels [panel_begin, panel_end).
///   lstm            i, f, g, o = input + rhs * h;   c = sigmoid(f) * c + sigmoid(i) * tanh(g)
///                   h = sigmoid(o) * tanh(c)
///   gru             r, z = sigmoid(input + rhs * h);   n = act(input_n + r * (rhs_n * h + bias_n))
///                   h = (h - n) * z + n
///   rnn             h = act(input + rhs * h)
///   gru_reset       r, z = sigmoid(input + rhs * h);   out: r * h, and z in place of its input
///   gru_candidate   n = act(input_n + rhs * lhs), lhs being gru_reset's r * h;   h = (h - n) * z + n
/// docs/numerics.md has the order of the float operations. Channels are in the order of gate_channel, "units padded" is
/// the number of units rounded up to panel_units(layout).
struct RecurrentStepArgs {
  StagedRows lhs;            ///< h of the step before, staged; gru_candidate: r * h
  PackedMatrix rhs;          ///< the cell's rows of weight_hh in recurrent_layout; gru alone uses its bias, that of n
  float* input;              ///< [rows, cell_input_gates * units padded] input product and bias, 4-byte aligned;
                             ///< gru_reset writes z there, all others only read it
  std::size_t input_stride;  ///< floats from row to row
  float* state;  ///< [rows, units padded] the float state that the cell carries beside the staged h; lstm: c, updated
                 ///< in place; gru, gru_candidate: h, updated in place; gru_reset: h, read; rnn: not used, may be null
  std::size_t state_stride;  ///< floats from row to row
  float* h;                  ///< [rows, units] out, of any alignment; columns past `units` are not stored
  std::size_t h_stride;      ///< floats from row to row
  std::size_t units;
  RowRange* ranges;  ///< [rows] out: range of the h values written in this call, widened to hold 0; or null
  std::size_t panel_begin;
  std::size_t panel_end;
  /// 1: from the last panel to the first. A caller whose weights do not fit a cache sets it at every other step, so
  /// that what the last step left there is used first. It changes no result.
  std::uint32_t descending;
  std::uint32_t relu;  ///< the function `act` of gru, gru_candidate and rnn: 0 tanh, 1 max(0, y); NaN stays NaN
  std::uint32_t from_memory = 0;  ///< as in GemmArgs
};

// ------------------------------------------------------------------------------------------------------------------
// The table.

/// The kernels of one format of weights on one backend. All functions are thread safe, allocate nothing and throw
/// nothing.
struct Kernels {
  std::uint32_t mr;  ///< rows that a tile handles at once, 1 or more
  /// Rows from which a call may use the tile registers (AMX), which it configures; 0: never.
  std::uint32_t tile_rows = 0;
  std::uint32_t tile_height = 0;     ///< rows that a tile register holds: a product takes about as long with fewer
  std::uint32_t l2_bytes = 1 << 20;  ///< weights of so many bytes stay in L2 beside what a layer reads and writes
  PackedLayout layout;               ///< of weights
  std::uint32_t lhs_size;            ///< bytes of a staged activation
  std::uint32_t rhs_size;            ///< bytes of a weight: 1 (int8) or 4 (float)
  SumFormat sum_format = SumFormat::plain;  ///< of PackedMatrix::sums; not used by float kernels

  /// ranges[r] = range of row r of x.
  void (*find_ranges)(const FloatRows* x, RowRange* ranges);

  /// Writes the rows of x to out->data, quantized (int8) or copied (float), and their scales to out->scales. out->rows
  /// is not read. What lies between the cols values of a row and the end of its stride may be overwritten with
  /// anything. The scale of row r follows from its range: ranges[r] if `ranges` is not null (the caller knows it), else
  /// the range is found here. If fixed_scale is not null, it is the scale of all rows instead, fixed_inverse is its
  /// inverse, and `ranges` is not read. A fixed scale saturates: q = clamp(round_half_even(x * fixed_inverse) +
  /// zero_point, 0, 255) for every float, q = 0 for NaN. A NaN in x does not change the fixed scale: a caller that
  /// wants NaN outputs must pass a NaN scale for such rows. A NaN scale writes no activations of any meaning.
  void (*stage_rows)(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                     StagedRows* out);

  void (*gemm)(const GemmArgs* args);

  /// By Cell; null where the backend has no step for that cell. lstm must be there.
  void (*recurrent_step[kCells])(const RecurrentStepArgs* args);
};

/// The smallest stride of staged rows of k values.
constexpr std::size_t staged_stride(const Kernels& kernels, std::size_t k) {
  return round_up((k > 0 ? round_up(k, kernels.layout.k_block) : kernels.layout.k_block) * kernels.lhs_size, 64);
}

/// An elementwise function: y[i] = f(x[i]) for i < n, of any alignment; y may be x. Within 3e-7 of the true value for
/// every float.
using ElementwiseFn = void (*)(const float* x, float* y, std::size_t n);

/// All kernels of one backend.
struct BackendKernels {
  const Kernels* int8;
  const Kernels* f32;
  const Kernels* int4;  ///< weights of 4 bits in groups; null where the backend has none
  ElementwiseFn sigmoid;
  ElementwiseFn tanh;
};

/// The descriptor of a backend. The first three members tell a library which version of this header the backend was
/// compiled with.
struct Backend {
  std::uint32_t abi = kBackendAbi;
  std::uint32_t size = sizeof(Backend);
  std::uint32_t kernels_size = sizeof(BackendKernels);
  std::int32_t priority;    ///< the supported backend with the highest is chosen
  const char* name;         ///< [a-z0-9_]+; its name everywhere: folder, BYTEGATE_BACKEND, tests, benchmarks
  const char* description;  ///< a few words for `bytegate info`
  CpuFeatures required;     ///< features without which it cannot run
  /// A further condition: null if it holds, else what the backend needs, in a few words. Or a null pointer.
  const char* (*unmet)();
  const BackendKernels* kernels;
};

// A struct that changes its size needs another kBackendAbi, and then other numbers here.
static_assert(kBackendAbi == 9 && sizeof(void*) == 8);
static_assert(sizeof(PackedLayout) == 16 && sizeof(RowRange) == 8 && sizeof(RowScale) == 8 && sizeof(FloatRows) == 32);
static_assert(sizeof(StagedRows) == 32 && sizeof(PackedMatrix) == 64 && sizeof(GemmArgs) == 160);
static_assert(sizeof(RecurrentStepArgs) == 192 && sizeof(Kernels) == 112);
static_assert(sizeof(BackendKernels) == 40 && sizeof(Backend) == 56);

}  // namespace bytegate
#pragma GCC visibility pop
