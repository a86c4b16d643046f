// The example of README.md, between the lines that say so.
// [readme]
#include <bytegate/model_file.h>

#include <iostream>

int main(int argc, char** argv) try {
  const bytegate::Sequential model = bytegate::load_model(argc > 1 ? argv[1] : "model.safetensors");  // a PyTorch state dict
  const bytegate::Sequential int8 = bytegate::quantize_dynamic(model);  // every LSTM and Linear; `model` stays float
  std::cout << int8 << '\n';
  bytegate::save_model(int8, argc > 2 ? argv[2] : "model.int8.safetensors");  // a quarter of the size, runs from the file alone
} catch (const bytegate::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
// [/readme]
