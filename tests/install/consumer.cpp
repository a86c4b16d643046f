// Uses something of every part of the library: registry, kernels, layers, models, files.
#include <bytegate/backends.h>
#include <bytegate/model_file.h>

#include <cmath>
#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  bytegate::Tensor weight({8, 16});
  for (std::size_t i = 0; i < weight.data.size(); ++i) weight.data[i] = std::sin(static_cast<float>(i));
  bytegate::Sequential model;
  model.add("fc", bytegate::Linear(weight.view(), {}));
  bytegate::Tensor x({3, 16});
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = std::cos(static_cast<float>(i));

  bytegate::save_model(bytegate::quantize_dynamic(model), argv[1]);
  const bytegate::Tensor y = model.forward(x);
  const bytegate::Tensor y8 = bytegate::load_model(argv[1]).forward(x);
  float error = 0;
  for (std::size_t i = 0; i < y.data.size(); ++i) error = std::fmax(error, std::fabs(y.data[i] - y8.data[i]));
  std::printf("%s: maximum error %g\n", bytegate::default_backend().name, static_cast<double>(error));
  return error > 0 && error < 0.1f ? 0 : 1;
}
