// The least a program needs that runs one quantized LSTM: size_test.py looks at how large it is.
#include <bytegate/layers.h>

#include <cstdio>

int main() {
  bytegate::LSTMConfig config;
  config.input_size = 64;
  config.hidden_size = 64;
  const auto weight = [](std::int64_t cols) {
    return bytegate::QuantizedWeight{256, cols, std::vector<std::int8_t>(static_cast<std::size_t>(256 * cols), 1),
                                     std::vector<float>(256, 0.01f)};
  };
  const bytegate::Tensor bias(bytegate::Shape{256});
  const bytegate::LSTM lstm(config, {{weight(64), weight(64), bias, bias, {}}}, {});

  bytegate::Tensor x(bytegate::Shape{10, 1, 64}), y(bytegate::Shape{10, 1, 64});
  x.data[0] = 1;
  bytegate::Workspace workspace;
  lstm.forward(x.view(), y.view(), {}, workspace);
  std::printf("%s %g\n", lstm.backend().name, static_cast<double>(y.data[0]));
}
