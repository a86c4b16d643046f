// Silero VAD, a public voice activity detector, on a recording: where is speech? Read this file for how to run a model
// from an ONNX file that is not a chain of layers.
//
//   scripts/get_silero.sh                                        # build/models/silero_vad_16k_op15.onnx, from npm
//   PYTHONPATH=python python3 -m bytegate convert build/models/silero_vad_16k_op15.onnx silero.safetensors
//   silero_vad silero.safetensors speech.wav [--int8] [--time] [--probabilities FILE]
//
// It prints a line for each segment of speech, with its begin and end in seconds. --int8 quantizes the LSTM, --time
// adds the median time of a frame, and --probabilities writes that of each frame, a line each.
#include <bytegate/layers.h>      // Conv1d, LSTM, ReLU, Sigmoid
#include <bytegate/model.h>       // Sequential, quantize_dynamic
#include <bytegate/model_file.h>  // load_state_dict
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "wav.h"

namespace {

constexpr int kSampleRate = 16000;
constexpr std::size_t kFrame = 512;   // samples that a call of the model is about, 32 ms
constexpr std::size_t kContext = 64;  // samples before them that it is passed, too
constexpr std::size_t kPadding = 64;  // samples behind them: a mirror image

// ---------------------------------------------------------------------------------------------------------------------
// 1. The model
// ---------------------------------------------------------------------------------------------------------------------

/// A layer of our own, which the library lacks: the magnitude of a spectrum. A row of x is its real parts, and then its
/// imaginary parts. x [..., 2 n] -> y [..., n].
class Magnitude final : public bytegate::Layer {
 public:
  bytegate::Shape output_shape(const bytegate::Shape& x) const override { return x.with_back(x.back() / 2); }
  using Layer::forward;
  void forward(bytegate::ConstTensorView x, bytegate::TensorView y, bytegate::Workspace&,
               bytegate::LayerState*) const override {
    const auto n = static_cast<std::size_t>(y.shape.back());
    const float* real = x.data;
    for (float* out = y.data; out != y.data + y.shape.elements(); out += n, real += 2 * n) {
      const float* imaginary = real + n;
      for (std::size_t i = 0; i < n; ++i) out[i] = std::sqrt(real[i] * real[i] + imaginary[i] * imaginary[i]);
    }
  }
  void describe(bytegate::LayerVisitor& visitor) const override { visitor.begin("magnitude", "Magnitude"); }
};

/// What the names of the layers for 16 kHz begin with: "If_0.then_branch." in a file whose graph has others for 8 kHz
/// in the other branch, nothing in a file that has these alone.
std::string names_begin_with(const bytegate::StateDict& file) {
  for (const auto& [name, layer] : file.layers) {
    const auto* conv = dynamic_cast<const bytegate::Conv1d*>(layer.get());
    if (conv && name.ends_with("stft") && conv->config().kernel_size == 256) return name.substr(0, name.size() - 4);
  }
  throw std::runtime_error(
      "the model has no layer 'stft' with a kernel of 256; docs/onnx.md lists the files that are run");
}

/// The converter wrote the layers and what it saw of them (kernels, strides, padding). What happens between them is in
/// the graph and in its report, and is written down here.
bytegate::Sequential load_silero(const std::filesystem::path& path) {
  using namespace bytegate;
  const StateDict file = load_state_dict(SafetensorsFile::load(path));
  const std::string begin = names_begin_with(file);
  // Tensors are [batch, time, channels] here: the layout of the LSTM, and the faster one of a convolution.
  const auto conv = [&](const std::string& name) { return file.layer<Conv1d>(begin + name).in_layout(true); };

  Sequential model("SileroVad");
  model.add("stft", conv("stft"));  // 640 samples -> 4 windows, the real and imaginary parts of 129 frequencies
  model.add("magnitude", Magnitude());
  for (const char* name : {"encoder.0", "encoder.1", "encoder.2", "encoder.3"}) {  // 4 windows -> 4, 2, 1, 1
    model.add(name, conv(std::string(name) + ".reparam_conv"));
    model.add(std::string(name) + ".relu", ReLU());
  }
  // The graph has the LSTM twice, for a state that is passed and for one that is not, with the same weights.
  const auto is_lstm = [&](const NamedLayer& l) {
    return l.name.starts_with(begin + "decoder.") && l.name.ends_with("rnn");
  };
  const auto lstm = std::ranges::find_if(file.layers, is_lstm);
  if (lstm == file.layers.end()) throw std::runtime_error("the file has no LSTM 'decoder...rnn'");
  model.add("lstm", lstm->layer);
  model.add("lstm.relu", ReLU());
  model.add("out", conv("decoder.decoder.2"));
  model.add("sigmoid", Sigmoid());
  return model;
}

/// Runs the model over audio that comes frame by frame.
class SileroVad {
 public:
  explicit SileroVad(bytegate::Sequential model) : model_(std::move(model)) {
    if (model_.output_shape(x_.shape).elements() != 1)
      throw std::runtime_error("the model returns more than one probability a frame");
  }

  /// The probability that the next kFrame samples are speech.
  float probability(std::span<const float, kFrame> frame) {
    float* x = x_.data.data();
    std::copy_n(x + kFrame, kContext, x);  // the end of the frame before
    std::ranges::copy(frame, x + kContext);
    float* end = x + kContext + kFrame;
    std::reverse_copy(end - 1 - kPadding, end - 1, end);  // mirrored at the last sample, which is not repeated
    model_.forward(x_.view(), y_.view(), workspace_, &state_);
    return y_.data[0];
  }

 private:
  bytegate::Sequential model_;
  bytegate::Tensor x_{{1, kContext + kFrame + kPadding, 1}};
  bytegate::Tensor y_{{1, 1, 1}};
  bytegate::Workspace workspace_;  // from the second call on, forward allocates nothing
  bytegate::ModelState state_;     // of the LSTM; zeros at first
};

// ---------------------------------------------------------------------------------------------------------------------
// 2. From probabilities to segments
// ---------------------------------------------------------------------------------------------------------------------

/// Speech begins with a frame of 0.5 or more and ends where 4 frames (128 ms) in a row are below 0.35. What is shorter
/// than 8 frames (256 ms) is dropped. Frames [first, last).
struct Segment {
  std::size_t first, last;
};

std::vector<Segment> segments_of(const std::vector<float>& probabilities) {
  constexpr float begin_at = 0.5f, end_below = 0.35f;
  constexpr std::size_t shortest_pause = 4, shortest_speech = 8;
  std::vector<Segment> segments;
  Segment now{0, 0};
  bool in_speech = false;
  const auto close = [&] {
    if (in_speech && now.last - now.first >= shortest_speech) segments.push_back(now);
    in_speech = false;
  };
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    if (probabilities[i] >= begin_at && !in_speech) {
      now.first = i;
      in_speech = true;
    }
    if (probabilities[i] >= end_below) now.last = i + 1;
    if (in_speech && i + 1 - now.last >= shortest_pause) close();
  }
  close();
  return segments;
}

// ---------------------------------------------------------------------------------------------------------------------
// 3. The program
// ---------------------------------------------------------------------------------------------------------------------

struct Arguments {
  std::string model, wav, probabilities;
  bool int8 = false, time = false;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--int8") {
      arguments.int8 = true;
    } else if (argument == "--time") {
      arguments.time = true;
    } else if (argument == "--probabilities" && i + 1 < argc) {
      arguments.probabilities = argv[++i];
    } else if (!argument.starts_with("-")) {
      files.push_back(argument);
    } else {
      files.clear();
      break;
    }
  }
  if (files.size() != 2)
    throw std::runtime_error("usage: silero_vad MODEL.safetensors SPEECH.wav [--int8] [--time] [--probabilities FILE]");
  arguments.model = files[0];
  arguments.wav = files[1];
  return arguments;
}

void run(const Arguments& arguments) {
  bytegate::Sequential model = load_silero(arguments.model);
  if (arguments.int8) {
    // The LSTM alone: int8 convolutions change decisions here, since a spectrum and the weights for it span more than
    // 8 bits (docs/onnx.md has figures).
    bytegate::QuantizeOptions options;
    options.kinds = {"lstm"};
    model = bytegate::quantize_dynamic(model, options);
  }
  SileroVad vad(std::move(model));

  std::vector<float> audio = demo::read_wav(arguments.wav, kSampleRate);
  audio.resize((audio.size() + kFrame - 1) / kFrame * kFrame);  // zeros to the end of the last frame
  std::vector<float> probabilities;
  std::vector<double> times;
  for (std::size_t i = 0; i < audio.size(); i += kFrame) {
    const auto before = std::chrono::steady_clock::now();
    probabilities.push_back(vad.probability(std::span<const float, kFrame>(&audio[i], kFrame)));
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count());
  }

  constexpr double seconds = static_cast<double>(kFrame) / kSampleRate;
  for (const auto& [first, last] : segments_of(probabilities))
    fmt::print("{:8.2f} {:8.2f}\n", static_cast<double>(first) * seconds, static_cast<double>(last) * seconds);
  if (!arguments.probabilities.empty()) {
    std::ofstream out(arguments.probabilities);
    for (const float p : probabilities) out << fmt::format("{:.9g}\n", p);
    if (!out.flush()) throw std::runtime_error(arguments.probabilities + ": cannot be written");
  }
  if (arguments.time && !times.empty()) {
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    fmt::print("{} frames of 32 ms, median {:.1f} us, on the backend {}\n", times.size(), times[times.size() / 2],
               bytegate::default_backend().name);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse_arguments(argc, argv));
    return 0;
  } catch (const std::exception& error) {  // bytegate::Error says what was wrong and what is accepted
    fmt::print(stderr, "silero_vad: {}\n", error.what());
    return 1;
  }
}
