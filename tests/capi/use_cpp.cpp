// What use.c does, through the C++ interface: use_cpp CHARLM WORK. Prints the same lines, but for its descriptions.
#include <bytegate/backends.h>
#include <bytegate/model_file.h>
#include <bytegate/version.h>

#include <filesystem>
#include <memory>
#include <string>

#include "testing.h"

using namespace bytegate;

namespace {

Tensor numbers(const Shape& shape, std::uint32_t seed, float scale = 0.25f) {
  Tensor t(shape);
  fill(t.data.data(), t.data.size(), seed, scale);
  return t;
}

void print(const std::string& name, const Tensor& t) { print_digest(name.c_str(), t.data.data(), t.data.size()); }

void print_backends() {
  for (const BackendInfo& info : list_backends()) {
    std::printf("backend %s supported %d priority %d unmet %s\n", info.backend->name, info.supported,
                info.backend->priority, info.missing.c_str());
  }
  std::printf("version %s\nselected %s\n", version(), default_backend().name);
}

void run_characters(const std::string& name, const Sequential& model) {
  const std::int64_t text[] = {31, 44, 41, 0, 7, 12};
  Tensor y(model.output_shape({3, 2}));
  Workspace workspace;
  model.forward(IndexView{text, {3, 2}}, y.view(), workspace);
  print(name, y);
}

void use_files(const std::filesystem::path& charlm, const std::filesystem::path& work) {
  const Sequential model = load_model(charlm);
  run_characters("charlm_float", model);
  const Sequential int8 = quantize_dynamic(model);
  run_characters("charlm_int8", int8);
  save_model(int8, work / "cpp.safetensors");
  run_characters("charlm_saved", load_model(work / "cpp.safetensors"));
  run_characters("charlm_memory", load_model(work / "cpp.safetensors"));
  QuantizeOptions quantize;
  quantize.kinds = {"embedding", "lstm", "linear"};
  quantize.exclude = {"dec*"};
  run_characters("charlm_chosen", quantize_dynamic(model, quantize));
  quantize.exclude.clear();
  quantize.scheme = parse_scheme("torch_per_channel_8bit");
  run_characters("charlm_torch", quantize_dynamic(model, quantize));
}

std::vector<RecurrentWeights> cells(const RecurrentConfig& config, std::int64_t gates) {
  std::vector<RecurrentWeights> all;
  for (std::int64_t i = 0; i < config.num_layers * config.directions(); ++i) {
    const auto seed = static_cast<std::uint32_t>(10 * i + 1);
    const std::int64_t rows = gates * HIDDEN, inputs = config.layer_input_size(i / config.directions());
    RecurrentWeights& cell = all.emplace_back();
    cell.weight_ih = numbers({rows, inputs}, seed);
    cell.weight_hh = numbers({rows, config.output_size()}, seed + 1);
    cell.bias_ih = numbers({rows}, seed + 2);
    cell.bias_hh = numbers({rows}, seed + 3);
    if (config.proj_size > 0) cell.weight_hr = numbers({config.proj_size, HIDDEN}, seed + 4);
  }
  return all;
}

RecurrentConfig config_of(std::int64_t layers, bool both, std::int64_t proj = 0, bool reset_after = true) {
  RecurrentConfig config;
  config.input_size = INPUTS;
  config.hidden_size = HIDDEN;
  config.num_layers = layers;
  config.bidirectional = both;
  config.proj_size = proj;
  config.reset_after = reset_after;
  return config;
}

template <class L>
void use_layers(const std::string& name, const RecurrentConfig& config, std::int64_t gates) {
  Sequential model;
  model.add("recurrent", L(config, cells(config, gates)));
  const std::int64_t width = config.output_size() * config.directions();
  model.add("fc", Linear(numbers({OUTPUTS, width}, 91).view(), numbers({OUTPUTS}, 92).view(), true));
  const Tensor x = numbers({T, B, INPUTS}, 5, 1);
  print(name + "_float", model.forward(x));
  print(name + "_int8", quantize_dynamic(model).forward(x));
}

void use_states() {
  const RecurrentConfig config = config_of(2, false);
  const LSTM lstm(config, cells(config, 4));
  const Tensor x = numbers({T, B, INPUTS}, 6, 1);
  const LSTMResult whole = lstm.forward(x);
  print("whole", whole.output);
  print("whole", whole.output);
  print("h", whole.state.h);
  print("c", whole.state.c);
  LSTMState state;
  state.h = Tensor({2, B, HIDDEN});
  state.c = numbers({2, B, HIDDEN}, 7, 0.5f);
  print("from_c", lstm.forward(x, &state).output);
  const std::int64_t lengths[] = {T, 2, 5};
  print("ragged", lstm.forward(x, nullptr, lengths).output);
}

void use_tensors() {
  QuantizedWeight weight{OUTPUTS, INPUTS, {}, {}};
  for (int i = 0; i < OUTPUTS * INPUTS; ++i) weight.data.push_back(static_cast<std::int8_t>(37 * i % 255 - 127));
  for (int i = 0; i < OUTPUTS; ++i) weight.scales.push_back(1.0f / static_cast<float>(64 << i));
  Sequential model;
  model.add("fc", Linear(weight, numbers({OUTPUTS}, 8, 1).view(), Scheme::per_row()));
  model.add("act", Sigmoid());
  print("tensors", model.forward(numbers({INPUTS}, 9, 1)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  print_backends();
  use_files(argv[1], argv[2]);
  use_layers<LSTM>("lstm", config_of(1, false), 4);
  use_layers<LSTM>("lstm_2_both", config_of(2, true), 4);
  use_layers<LSTM>("lstm_proj", config_of(2, false, PROJ), 4);
  use_layers<GRU>("gru", config_of(2, true), 3);
  use_layers<GRU>("gru_reset_before", config_of(1, false, 0, false), 3);
  use_states();
  use_tensors();
  return 0;
}
