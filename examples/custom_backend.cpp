// A backend from outside the library.
//
// A backend is a constant table (bytegate/backend.h): a name, a priority, the geometry in which it wants its operands laid out,
// and functions. Here we write one of the functions, the int8 matrix product, and take the others from `scalar`, whose
// geometry we therefore keep. The library quantizes, packs and dispatches; we multiply.
//
// Any backend gives the same bits as any other: the product is an exact integer, and the few float operations after it are laid
// down in docs/numerics.md. So the check at the end is for equality, not for closeness.
#include <bytegate/backends.h>
#include <bytegate/layers.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace {

const bytegate::BackendKernels* scalar_kernels;  // set before the backend is registered, constant from then on
std::atomic<long> products{0};                   // kernels are called from any thread

/// Element (n, k) of a packed weight matrix, as PackedMatrix describes its layout.
int weight_at(const bytegate::PackedMatrix& rhs, std::size_t n, std::size_t k) {
  const std::size_t nr = scalar_kernels->int8.nr;
  const std::size_t nb = scalar_kernels->int8.nb;
  const std::size_t kr = scalar_kernels->int8.kr;
  const std::size_t p = n % nr;
  const auto* data = static_cast<const std::int8_t*>(rhs.data);
  int sum = 0;  // a weight is the sum of its segments; there is more than one only where splits_minus_128 asks for it
  for (std::size_t s = 0; s < rhs.segments; ++s)
    sum += data[(((n / nr * rhs.segments + s) * (nr / nb) + p / nb) * rhs.k_groups + k / kr) * nb * kr + p % nb * kr + k % kr];
  return sum;
}

/// y = fma(float(acc), activation scale * weight scale, bias) for every row and channel asked for.
void gemm(const bytegate::GemmArgs* args) {
  const bytegate::PackedMatrix& rhs = args->rhs;
  const std::size_t nr = scalar_kernels->int8.nr;
  const std::size_t n_end = std::min(args->panel_end * nr, args->n_out);  // the last panel may hold channels that do not exist
  for (std::size_t m = 0; m < args->lhs.rows; ++m) {
    const auto* row = static_cast<const std::uint8_t*>(args->lhs.data) + m * args->lhs.stride;
    const bytegate::RowScale scale = args->lhs.scales[m];
    for (std::size_t n = args->panel_begin * nr; n < n_end; ++n) {
      std::int32_t acc = 0;  // at most 65,536 * 255 * 128 < 2^31 in size, at every step
      for (std::size_t k = 0; k < rhs.k; ++k) acc += row[k] * weight_at(rhs, n, k);
      acc -= scale.zero_point * rhs.sums[n];
      float y = std::fma(static_cast<float>(acc), scale.scale * rhs.scales[n], rhs.bias[n]);
      if (args->relu != 0 && y < 0) y = 0;  // a NaN stays a NaN
      args->out[m * args->out_stride + n] = y;
    }
  }
  products += 1;
}

/// Runs one quantized layer on a backend.
bytegate::Tensor run(const bytegate::Linear& layer, const bytegate::Tensor& x, const char* backend) {
  return bytegate::DynamicQuantizedLinear::from_float(layer, {}, &bytegate::find_backend(backend)).forward(x);
}

int example() {
  // 1. The table of functions: those of `scalar`, but for ours. It must outlive every layer that uses it.
  static bytegate::BackendKernels kernels = *bytegate::find_backend("scalar").kernels;
  scalar_kernels = bytegate::find_backend("scalar").kernels;
  kernels.int8.gemm = &gemm;

  // 2. The descriptor. `required` names CPU features without which the backend is not offered; `supported` may ask for more.
  static const bytegate::Backend mine = {
      .abi = bytegate::kBackendAbi,
      .size = sizeof(bytegate::Backend),
      .name = "mine",
      .description = "an example from outside the library",
      .priority = -1,  // below every built-in one: used only by name, or with BYTEGATE_BACKEND=mine
      .required = 0,
      .supported = nullptr,
      .kernels = &kernels,
  };

  // 3. From here on it is a backend like any other: listed, selectable, checked for support.
  bytegate::register_backend(&mine);
  for (const bytegate::BackendInfo& info : bytegate::list_backends())
    std::printf("%-12s %s\n", info.backend->name,
                info.supported ? "supported" : ("not on this CPU, it lacks " + info.missing).c_str());

  // 4. The same bits as `scalar`, for a layer whose sizes are no multiples of anything.
  bytegate::Tensor weight({37, 101});
  bytegate::Tensor bias({37});
  bytegate::Tensor x({5, 101});
  for (std::size_t i = 0; i < weight.data.size(); ++i) weight.data[i] = std::sin(static_cast<float>(i));
  for (std::size_t i = 0; i < bias.data.size(); ++i) bias.data[i] = std::cos(static_cast<float>(i));
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = 3 * std::sin(0.7f * static_cast<float>(i));
  x.data[200] = std::numeric_limits<float>::quiet_NaN();  // makes row 1, and no other, NaN

  const bytegate::Linear layer(weight.view(), bias.view(), /*relu=*/true);
  const bytegate::Tensor expected = run(layer, x, "scalar");
  const bytegate::Tensor got = run(layer, x, "mine");
  const bool same =
      got.shape == expected.shape && std::memcmp(got.data.data(), expected.data.data(), got.data.size() * sizeof(float)) == 0;
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
