// A backend as a shared library of its own, for bytegate::load_backend("/absolute/path/libplugin_backend.so").
//
// It is built from <bytegate/backend.h> alone and links with nothing of the library. Here all its kernels are written
// out, as plainly as possible: this file is the arithmetic of docs/numerics.md in C++, and gives the same bits as every
// other backend. To make a fast backend of it, replace one function after the other and compare.
//
// Compile with -ffp-contract=off: the compiler must not fuse a product and a sum where no fma is written.
#include <bytegate/backend.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace {

using namespace bytegate;

// A panel of 4 channels is one block, in which the 4 weights of one k are neighbours. No other geometry is simpler.
constexpr PackedLayout kLayout = {.panel_channels = 4, .block_channels = 4, .kr = 1, .k_block = 1};

struct Quotient {
  float n, d;
};

/// tanh(x)
Quotient tanh_quotient(float x) {
  constexpr float p[] = {0x1p+0f, 0x1.11ff54p-3f, 0x1.c9ebe8p-9f, 0x1.59d35ap-16f, 0x1.cdaf3ep-27f};
  constexpr float q[] = {0x1p+0f, 0x1.de54eep-2f, 0x1.a7d0d2p-6f, 0x1.5858d6p-12f, 0x1.a26682p-21f};
  constexpr float bound = 0x1.0041bap+3f;
  if (x > bound) x = bound;  // a NaN passes both comparisons
  if (x < -bound) x = -bound;
  const float s = x * x;
  float numerator = p[4];
  float denominator = q[4];
  for (int i = 3; i >= 0; --i) {
    numerator = std::fma(numerator, s, p[i]);
    denominator = std::fma(denominator, s, q[i]);
  }
  return {x * numerator, denominator};
}

float tanh_of(float x) {
  const Quotient y = tanh_quotient(x);
  return y.n / y.d;
}

float sigmoid_of(float x) { return std::fma(0.5f, tanh_of(0.5f * x), 0.5f); }

template <float (*f)(float)>
void map(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = f(x[i]);
}

RowRange range_of(const float* x, std::size_t n) {
  RowRange range{0, 0};
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return {NAN, NAN};
    range.lo = std::min(range.lo, x[i]);
    range.hi = std::max(range.hi, x[i]);
  }
  return range;
}

void find_ranges(const FloatRows* x, RowRange* ranges) {
  for (std::size_t r = 0; r < x->rows; ++r) ranges[r] = range_of(x->data + r * x->stride, x->cols);
}

/// The scale of a row's range, and its inverse.
RowScale scale_of(RowRange range, float* inverse) {
  *inverse = 1.0f;
  if (std::isnan(range.lo)) return {NAN, 0};
  if (range.lo == range.hi) return {1.0f, 0};  // zeros
  const float half = std::max(0.5f * range.hi - 0.5f * range.lo, 127.5f * FLT_MIN);
  *inverse = 127.5f / half;
  return {half * (1.0f / 127.5f), static_cast<std::int32_t>(std::min(std::nearbyint(-range.lo * *inverse), 255.0f))};
}

void quantize_rows(const FloatRows* x, const RowRange* ranges, const RowScale* fixed_scale, float fixed_inverse,
                   StagedRows* out) {
  for (std::size_t r = 0; r < x->rows; ++r) {
    const float* row = x->data + r * x->stride;
    auto* q = static_cast<std::uint8_t*>(out->data) + r * out->stride;
    float inverse = fixed_inverse;
    out->scales[r] = fixed_scale ? *fixed_scale : scale_of(ranges ? ranges[r] : range_of(row, x->cols), &inverse);
    for (std::size_t i = 0; i < x->cols; ++i) {
      const float v = row[i] * inverse;
      const float bounded = v > -256.0f ? std::min(v, 256.0f) : -256.0f;  // NaN is -256
      const float value = std::nearbyint(bounded) + static_cast<float>(out->scales[r].zero_point);
      q[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
    }
  }
}

void copy_rows(const FloatRows* x, const RowRange*, const RowScale*, float, StagedRows* out) {
  for (std::size_t r = 0; r < x->rows && x->cols > 0; ++r) {
    std::memcpy(static_cast<char*>(out->data) + r * out->stride, x->data + r * x->stride, x->cols * sizeof(float));
  }
}

/// Row m by channel n of an int8 product, dequantized, plus addend.
float int8_product(const StagedRows& lhs, std::size_t m, const PackedMatrix& rhs, std::size_t n, float addend) {
  const auto* x = static_cast<const std::uint8_t*>(lhs.data) + m * lhs.stride;
  const auto* w = static_cast<const std::int8_t*>(rhs.data);
  std::int32_t acc = 0;  // at most 65,536 * 255 * 128 < 2^31 in size, at every step
  for (std::size_t k = 0; k < rhs.k; ++k)
    acc += (x[k] - lhs.scales[m].zero_point) * w[packed_index(kLayout, rhs.k_groups, n, k)];
  return std::fma(static_cast<float>(acc), lhs.scales[m].scale * rhs.scales[n], addend);
}

float float_product(const StagedRows& lhs, std::size_t m, const PackedMatrix& rhs, std::size_t n, float addend) {
  const auto* x = reinterpret_cast<const float*>(static_cast<const char*>(lhs.data) + m * lhs.stride);
  const auto* w = static_cast<const float*>(rhs.data);
  float sum = 0;
  for (std::size_t k = 0; k < rhs.k; ++k) sum = std::fma(x[k], w[packed_index(kLayout, rhs.k_groups, n, k)], sum);
  return sum + addend;
}

template <auto product>
void gemm(const GemmArgs* a) {
  const std::size_t end = std::min(a->panel_end * kLayout.panel_channels, a->n_out);  // the last panel may hold padding
  for (std::size_t m = 0; m < a->lhs.rows; ++m) {
    for (std::size_t n = a->panel_begin * kLayout.panel_channels; n < end; ++n) {
      const float y = product(a->lhs, m, a->rhs, n, a->rhs.bias[n]);
      a->out[m * a->out_stride + n] = a->relu != 0 && y < 0 ? 0.0f : y;
    }
  }
}

template <auto product>
void lstm_step(const RecurrentStepArgs* a) {
  constexpr std::uint32_t w = panel_units(kLayout), gates = cell_gates(Cell::lstm);
  for (std::size_t m = 0; m < a->lhs.rows; ++m) {
    RowRange range{0, 0};
    for (std::size_t unit = a->panel_begin * w; unit < std::min(a->panel_end * w, a->units); ++unit) {
      const auto gate = [&](std::size_t index) {
        const std::size_t n = gate_channel(w, gates, index, unit);
        return product(a->lhs, m, a->rhs, n, a->input[m * a->input_stride + n]);
      };
      // sigmoid(x) = (n + d) / (2 d), n / d = tanh(x / 2)
      const Quotient i = tanh_quotient(0.5f * gate(0)), g = tanh_quotient(gate(2)), o = tanh_quotient(0.5f * gate(3));
      float& c = a->state[m * a->state_stride + unit];
      c = std::fma(sigmoid_of(gate(1)), c, (i.n + i.d) * g.n / (2 * (i.d * g.d)));
      const Quotient tanh_c = tanh_quotient(c);
      const float h = (o.n + o.d) * tanh_c.n / (2 * (o.d * tanh_c.d));
      a->h[m * a->h_stride + unit] = h;
      if (std::isnan(h) || std::isnan(range.lo)) {
        range = {NAN, NAN};
      } else {
        range = {std::min(range.lo, h), std::max(range.hi, h)};
      }
    }
    if (a->ranges) a->ranges[m] = range;
  }
}

constexpr Kernels kInt8 = {.mr = 1,
                           .layout = kLayout,
                           .lhs_size = 1,
                           .rhs_size = 1,
                           .find_ranges = find_ranges,
                           .stage_rows = quantize_rows,
                           .gemm = gemm<int8_product>,
                           .recurrent_step = {lstm_step<int8_product>}};
constexpr Kernels kFloat = {.mr = 1,
                            .layout = kLayout,
                            .lhs_size = 4,
                            .rhs_size = 4,
                            .find_ranges = find_ranges,
                            .stage_rows = copy_rows,
                            .gemm = gemm<float_product>,
                            .recurrent_step = {lstm_step<float_product>}};
constexpr BackendKernels kKernels = {
    .int8 = &kInt8,
    .f32 = &kFloat,
    .int4 = nullptr,
    .sigmoid = map<sigmoid_of>,
    .tanh = map<tanh_of>,
};

constexpr Backend kBackend = {
    .priority = -1,  // below every built-in one: used only by name, or with BYTEGATE_BACKEND=plugin
    .name = "plugin",
    .description = "an example, loaded from a shared library",
    .required = 0,
    .unmet = nullptr,
    .kernels = &kKernels,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const bytegate::Backend* bytegate_backend();

const bytegate::Backend* bytegate_backend() { return &kBackend; }
