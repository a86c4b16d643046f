// A backend from outside the library.
//
// A backend is a constant table (bytegate/backend.h): a name, a priority, the layout of its operands, and functions.
// This example writes one of the functions, the int8 matrix product, and copies the others from `scalar`, so it keeps
// the layout of `scalar`. The library quantizes, packs and dispatches.
//
// All backends return the same bits: the product is an exact integer, and docs/numerics.md states the float operations
// that follow. So the check at the end is for equality and needs no tolerance.
#include <bytegate/backends.h>
#include <bytegate/layers.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace {

const bytegate::BackendKernels* scalar_kernels;  // set before the backend is registered, then constant
std::atomic<long> products{0};                   // kernels are called from any thread

/// Weight (n, k) of a packed matrix.
int weight_at(const bytegate::PackedMatrix& rhs, std::size_t n, std::size_t k) {
  const auto* data = static_cast<const std::int8_t*>(rhs.data);
  return data[bytegate::packed_index(scalar_kernels->int8->layout, rhs.k_groups, n, k)];
}

/// y = fma(float(acc), activation scale * weight scale, bias) for every row and channel asked for.
void gemm(const bytegate::GemmArgs* args) {
  const bytegate::PackedMatrix& rhs = args->rhs;
  const std::size_t nr = scalar_kernels->int8->layout.panel_channels;
  const std::size_t n_end =
      std::min(args->panel_end * nr, args->n_out);  // the last panel is padded with channels of zeros
  for (std::size_t m = 0; m < args->lhs.rows; ++m) {
    const auto* row = static_cast<const std::uint8_t*>(args->lhs.data) + m * args->lhs.stride;
    const bytegate::RowScale scale = args->lhs.scales[m];
    for (std::size_t n = args->panel_begin * nr; n < n_end; ++n) {
      std::int32_t acc = 0;  // |acc| <= 65,536 * 255 * 128 < 2^31 after every step
      for (std::size_t k = 0; k < rhs.k; ++k) acc += row[k] * weight_at(rhs, n, k);
      acc -= scale.zero_point * rhs.sums[n];
      float y = std::fma(static_cast<float>(acc), scale.scale * rhs.scales[n], rhs.bias[n]);
      if (args->relu != 0 && y < 0) y = 0;  // the comparison is false for NaN, which stays
      args->out[m * args->out_stride + n] = y;
    }
  }
  products += 1;
}

/// Runs one quantized layer on a backend.
bytegate::Tensor run(const bytegate::Linear& layer, const bytegate::Tensor& x, const char* backend) {
  return bytegate::Linear::from_float(layer, {}, &bytegate::find_backend(backend)).forward(x);
}

int example() {
  // 1. The table of functions: those of `scalar` with one replaced. It must outlive every layer that uses it.
  scalar_kernels = bytegate::find_backend("scalar").kernels;
  static bytegate::Kernels int8 = *scalar_kernels->int8;
  int8.gemm = &gemm;
  static bytegate::BackendKernels kernels = *scalar_kernels;
  kernels.int8 = &int8;

  // 2. The descriptor. `required` is the CPU features that the backend needs; `unmet` may name a further condition that
  // does not hold.
  static const bytegate::Backend mine = {
      .priority = -1,  // below every built-in one, so it is used only by name (BYTEGATE_BACKEND=mine)
      .name = "mine",
      .description = "an example from outside the library",
      .required = 0,
      .unmet = nullptr,
      .kernels = &kernels,
  };

  // 3. Once registered, it is listed, can be selected and is checked for support like the library's own backends.
  bytegate::register_backend(&mine);
  for (const bytegate::BackendInfo& info : bytegate::list_backends())
    std::printf("%-12s %s\n", info.backend->name,
                info.supported ? "supported" : ("cannot run here, it needs " + info.missing).c_str());

  // 4. Compare with `scalar`, for a layer whose sizes are multiples of no panel or vector.
  bytegate::Tensor weight({37, 101});
  bytegate::Tensor bias({37});
  bytegate::Tensor x({5, 101});
  for (std::size_t i = 0; i < weight.data.size(); ++i) weight.data[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < bias.data.size(); ++i) bias.data[i] = std::cos(static_cast<float>(i));
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = 3 * std::sin(0.7f * static_cast<float>(i));
  x.data[200] = std::numeric_limits<float>::quiet_NaN();  // makes the outputs of row 1 NaN, and no others

  const bytegate::Linear layer(weight.view(), bias.view(), /*relu=*/true);
  const bytegate::Tensor expected = run(layer, x, "scalar");
  const bytegate::Tensor got = run(layer, x, "mine");
  const bool same = got.shape == expected.shape &&
                    std::memcmp(got.data.data(), expected.data.data(), got.data.size() * sizeof(float)) == 0;
  std::printf("%ld call(s) of our product; bits equal to scalar: %s\n", products.load(), same ? "yes" : "NO");
  return same && products > 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return example();
  } catch (const bytegate::Error& error) {
    std::fprintf(stderr, "custom_backend: %s\n", error.what());
    return 1;
  }
}
