// The first model of DTLN, a public denoiser, as layers that the program calls itself: two LSTMs, a Linear and a
// sigmoid, with states that the program keeps.
//
//   PYTHONPATH=python python3 -m bytegate convert dtln_1.onnx dtln_1.safetensors
//   dtln_mask dtln_1.safetensors < magnitudes > masks
//
// magnitudes: one spectrum after another as raw float32, 257 for each frame of 8 ms. masks: as many, 0 to 1, which the
// spectrum is multiplied by.
#include <bytegate/layers.h>      // LSTM, Linear, Sigmoid
#include <bytegate/model.h>       // quantize_dynamic
#include <bytegate/model_file.h>  // load_state_dict
#include <fmt/core.h>

#include <exception>
#include <iostream>
#include <string>

namespace {

/// An LSTM of one layer, and its state from frame to frame.
class StreamedLstm {
 public:
  explicit StreamedLstm(const bytegate::LSTM& lstm)
      : lstm_(lstm), h_({1, 1, lstm.config().hidden_size}), c_(h_.shape), y_(h_.shape) {}

  const bytegate::Tensor& step(const bytegate::Tensor& x, bytegate::Workspace& workspace) {
    lstm_.forward(x.view(), y_.view(), {h_.view(), c_.view(), h_.view(), c_.view(), {}}, workspace);  // h0 c0 hn cn
    return y_;
  }

 private:
  bytegate::LSTM lstm_;
  bytegate::Tensor h_, c_, y_;
};

void run(const std::string& path, bool int8) {
  using namespace bytegate;
  StateDict file = load_state_dict(SafetensorsFile::load(path));
  if (int8) file = quantize_dynamic(file);
  StreamedLstm first(file.layer<LSTM>("lstm_4")), second(file.layer<LSTM>("lstm_5"));
  const auto& dense = file.layer<Linear>("dense_2");
  const Sigmoid sigmoid;

  Tensor x({1, 1, file.layer<LSTM>("lstm_4").config().input_size}), mask({1, 1, dense.out_features()});  // [T, B, C]
  Workspace workspace;
  const auto size = static_cast<std::streamsize>(x.data.size() * sizeof(float));
  while (std::cin.read(reinterpret_cast<char*>(x.data.data()), size)) {
    dense.forward(second.step(first.step(x, workspace), workspace).view(), mask.view(), workspace);
    sigmoid.apply(mask.data.data(), mask.data.data(), mask.data.size());
    std::cout.write(reinterpret_cast<const char*>(mask.data.data()),
                    static_cast<std::streamsize>(mask.data.size() * sizeof(float)));
  }
  if (std::cin.gcount() != 0) throw std::runtime_error("the last spectrum is not complete");
}

}  // namespace

int main(int argc, char** argv) {
  const bool int8 = argc == 3 && std::string(argv[2]) == "--int8";
  if (argc != 2 && !int8) {
    fmt::print(stderr, "usage: dtln_mask MODEL.safetensors [--int8] < magnitudes > masks\n");
    return 2;
  }
  try {
    run(argv[1], int8);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "dtln_mask: {}\n", error.what());
    return 1;
  }
}
