// smoke: runs a quantized product on the default backend, checks it, and prints that backend's name. An error of the
// library is printed, with exit code 3. Needs no file and no argument, so that it runs where little else does.
#include <bytegate/layers.h>

#include <cstdio>

int main() {
  using namespace bytegate;
  try {
    // The row's range is 0..255, so its scale is 1 and the product exact.
    constexpr std::int64_t k = 70, n = 37;
    QuantizedWeight weight{n, k, std::vector<std::int8_t>(static_cast<std::size_t>(n * k)),
                           std::vector<float>(static_cast<std::size_t>(n), 1.0f)};
    Tensor x(Shape{3, k});
    for (std::size_t i = 0; i < weight.data.size(); ++i)
      weight.data[i] = static_cast<std::int8_t>(static_cast<int>(i * 37 % 256) - 128);
    for (std::size_t i = 0; i < x.data.size(); ++i)
      x.data[i] = i % k == 0 ? 255.0f : i % k == 1 ? 0.0f : static_cast<float>(i * 29 % 256);
    const Linear layer(weight, {}, Scheme::per_row());
    const Tensor y = layer.forward(x);
    for (std::size_t m = 0; m < 3; ++m) {
      for (std::size_t j = 0; j < n; ++j) {
        int sum = 0;
        for (std::size_t i = 0; i < k; ++i) sum += static_cast<int>(x.data[m * k + i]) * weight.data[j * k + i];
        if (y.data[m * n + j] == static_cast<float>(sum)) continue;
        std::fprintf(stderr, "smoke: row %zu, column %zu is %g, expected %d\n", m, j,
                     static_cast<double>(y.data[m * n + j]), sum);
        return 1;
      }
    }
    std::printf("%s\n", layer.backend().name);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
