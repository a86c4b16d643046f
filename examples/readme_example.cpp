// The example of README.md, between the two marks; tests/cli_test.py checks that the README has the same text.
// [readme]
#include <bytegate/model_file.h>

#include <iostream>

int main(int argc, char** argv) {
  const bytegate::Sequential model =
      bytegate::load_model(argc > 1 ? argv[1] : "examples/data/charlm/model.safetensors");
  const bytegate::Sequential int8 = bytegate::quantize_dynamic(model);  // all but the embedding; `model` stays float
  std::cout << int8 << '\n';
  bytegate::save_model(int8, argc > 2 ? argv[2] : "charlm.int8.safetensors");  // a file that load_model runs by itself

  const std::vector<std::int64_t> text = {31, 44, 41};  // this model begins with an embedding: indices [T, B]
  bytegate::Tensor logits(int8.output_shape({3, 1}));
  bytegate::Workspace workspace;  // scratch memory; from the second call on, forward allocates nothing
  int8.forward({text.data(), {3, 1}}, logits.view(), workspace);
  std::cout << bytegate::to_string(logits.shape) << '\n';  // [3, 1, 63]
}
// [/readme]
