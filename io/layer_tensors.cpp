#include "io/layer_tensors.h"

#include <algorithm>
#include <cmath>

#include "io/floats.h"
#include "io/text.h"

namespace bytegate::detail {
namespace {

constexpr const char* kScaleSuffix = "_scale";

ConstTensorView view_of(const std::optional<Tensor>& bias) { return bias ? bias->view() : ConstTensorView{}; }

}  // namespace

void LayerReader::fail(const std::string& message) const { fail_bad_file(file_.what(), message); }

const StoredTensor& LayerReader::stored(const std::string& name, const std::vector<std::int64_t>& shape) {
  const StoredTensor& tensor = file_.tensor(name);
  if (tensor.shape != shape) {
    fail("tensor " + in_quotes(name) + " has shape " + list_text(tensor.shape) + "; the architecture asks for " +
         list_text(shape));
  }
  used_.insert(name);
  return tensor;
}

Tensor LayerReader::floats(const std::string& name, const std::vector<std::int64_t>& shape) {
  const StoredTensor& tensor = stored(name, shape);
  if (!is_float_dtype(tensor.dtype)) {
    fail("tensor " + in_quotes(name) + " has dtype " + tensor.dtype + "; accepted are F32, F16, BF16 and F64");
  }
  std::optional<std::vector<float>> values = to_floats(tensor);
  if (!values) fail("tensor " + in_quotes(name) + " has a value too large for float32");
  return Tensor(Shape(shape), std::move(*values));
}

QuantizedWeight LayerReader::quantized(const std::string& name, std::int64_t rows, std::int64_t cols) {
  stored(name, {rows, cols});
  const std::string scale_name = name + kScaleSuffix;
  // One scale a row or one in all; layers take either, whatever scheme made them.
  const bool one = file_.tensor(scale_name).shape == std::vector<std::int64_t>{1};
  stored(scale_name, {one ? 1 : rows});
  QuantizedWeight weight{rows, cols, file_.int8s(name), file_.floats(scale_name)};
  if (!std::ranges::all_of(weight.scales, [](float s) { return std::isfinite(s) && s >= 0; })) {
    fail("tensor " + in_quotes(scale_name) + " has a scale that is negative, infinite or not a number");
  }
  return weight;
}

Scheme LayerReader::scheme_of(const LayerSpec& spec) const {
  if (spec.scheme) return *spec.scheme;
  if (!scheme_) fail("layer " + in_quotes(spec.name) + " is quantized, but the metadata has no `scheme`");
  return *scheme_;
}

Layer LayerReader::make_linear(const LayerSpec& spec) {
  std::optional<Tensor> bias;
  if (spec.bias) bias = floats(spec.prefix + "bias", {spec.rows});
  const std::string name = spec.prefix + "weight";
  if (!spec.quantized) return Linear(floats(name, {spec.rows, spec.cols}).view(), view_of(bias), spec.relu, backend_);
  const Scheme scheme = scheme_of(spec);
  return DynamicQuantizedLinear(quantized(name, spec.rows, spec.cols), view_of(bias), scheme, spec.relu, backend_);
}

Layer LayerReader::make_embedding(const LayerSpec& spec) {
  const std::string name = spec.prefix + "weight";
  if (!spec.quantized) return Embedding(floats(name, {spec.rows, spec.cols}).view());
  return QuantizedEmbedding(quantized(name, spec.rows, spec.cols));
}

/// `matrix` reads one weight: matrix(name, rows, cols).
template <class Weight, class Matrix>
std::vector<LSTMCell<Weight>> LayerReader::cells(const LayerSpec& spec, const Matrix& matrix) {
  const LSTMConfig& c = spec.lstm;
  const std::int64_t gates = 4 * c.hidden_size;
  std::vector<LSTMCell<Weight>> cells;
  for (std::int64_t layer = 0; layer < c.num_layers; ++layer) {
    for (const bool reverse : {false, true}) {
      if (reverse && !c.bidirectional) continue;
      const auto name = [&](const char* part) { return spec.prefix + part + lstm_suffix(layer, reverse); };
      LSTMCell<Weight> cell;
      cell.weight_ih = matrix(name("weight_ih"), gates, c.layer_input_size(layer));
      cell.weight_hh = matrix(name("weight_hh"), gates, c.output_size());
      if (c.bias) {
        cell.bias_ih = floats(name("bias_ih"), {gates});
        cell.bias_hh = floats(name("bias_hh"), {gates});
      }
      if (c.proj_size > 0) cell.weight_hr = matrix(name("weight_hr"), c.proj_size, c.hidden_size);
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

Layer LayerReader::make_lstm(const LayerSpec& spec) {
  if (!spec.quantized) {
    return LSTM(spec.lstm,
                cells<Tensor>(spec,
                              [&](const std::string& name, std::int64_t rows, std::int64_t cols) {
                                return floats(name, {rows, cols});
                              }),
                backend_);
  }
  const Scheme scheme = scheme_of(spec);
  return DynamicQuantizedLSTM(spec.lstm,
                              cells<QuantizedWeight>(spec, [&](const std::string& name, std::int64_t rows,
                                                               std::int64_t cols) { return quantized(name, rows, cols); }),
                              scheme, backend_);
}

Layer LayerReader::make(const LayerSpec& spec) {
  switch (spec.kind) {
    case LayerSpec::Kind::embedding:
      return make_embedding(spec);
    case LayerSpec::Kind::lstm:
      return make_lstm(spec);
    case LayerSpec::Kind::linear:
      return make_linear(spec);
    case LayerSpec::Kind::relu:
      return ReLU();
    case LayerSpec::Kind::flatten:
      break;
  }
  return Flatten();
}

Layer LayerReader::read(const LayerSpec& spec) {
  // A matrix of no columns has no bytes in the file that would bound its rows, for which layers take memory.
  if (spec.has_weights() && spec.kind != LayerSpec::Kind::lstm && spec.cols == 0 &&
      spec.rows > static_cast<std::int64_t>(kMaxK)) {
    fail("layer " + in_quotes(spec.name) + " has " + std::to_string(spec.rows) + " rows of no columns; at most " +
         std::to_string(kMaxK) + " are accepted");
  }
  try {
    return make(spec);
  } catch (const Error& error) {
    // What a layer refuses is the file's fault here; what the choice of a backend refuses is not.
    if (error.code() != ErrorCode::invalid_argument && error.code() != ErrorCode::shape_mismatch) throw;
    fail("layer " + in_quotes(spec.name) + ": " + error.what());
  }
}

std::vector<std::string> LayerReader::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.tensors()) {
    if (used_.count(name) == 0) names.push_back(name);
  }
  return names;
}

namespace {

/// Writes tensors under PyTorch's names.
class LayerWriter {
 public:
  LayerWriter(const std::string& prefix, SafetensorsWriter& writer) : prefix_(prefix), writer_(writer) {}

  void operator()(const Linear& l) { write_linear(l); }
  void operator()(const DynamicQuantizedLinear& l) { write_linear(l); }
  void operator()(const Embedding& l) { write("weight", l.weight()); }
  void operator()(const QuantizedEmbedding& l) { write("weight", l.weight()); }
  void operator()(const LSTM& l) { write_lstm(l); }
  void operator()(const DynamicQuantizedLSTM& l) { write_lstm(l); }
  void operator()(const ReLU&) {}
  void operator()(const Flatten&) {}

 private:
  void write(const std::string& name, const Tensor& tensor) {
    writer_.add(prefix_ + name, tensor.shape.dims(), std::span<const float>(tensor.data));
  }

  void write(const std::string& name, const QuantizedWeight& weight) {
    const std::int64_t shape[] = {weight.rows, weight.cols}, scales[] = {static_cast<std::int64_t>(weight.scales.size())};
    writer_.add(prefix_ + name, shape, std::span<const std::int8_t>(weight.data));
    writer_.add(prefix_ + name + kScaleSuffix, scales, std::span<const float>(weight.scales));
  }

  template <class AnyLinear>
  void write_linear(const AnyLinear& linear) {
    write("weight", linear.weight());
    if (const std::optional<Tensor> bias = linear.bias()) write("bias", *bias);
  }

  template <class AnyLstm>
  void write_lstm(const AnyLstm& lstm) {
    const LSTMConfig& config = lstm.config();
    const auto cells = lstm.cells();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto cell = static_cast<std::int64_t>(i);
      const std::string suffix = lstm_suffix(cell / config.directions(), cell % config.directions() == 1);
      write("weight_ih" + suffix, cells[i].weight_ih);
      write("weight_hh" + suffix, cells[i].weight_hh);
      if (config.bias) {
        write("bias_ih" + suffix, cells[i].bias_ih);
        write("bias_hh" + suffix, cells[i].bias_hh);
      }
      if (config.proj_size > 0) write("weight_hr" + suffix, cells[i].weight_hr);
    }
  }

  const std::string& prefix_;
  SafetensorsWriter& writer_;
};

}  // namespace

void write_layer(const std::string& prefix, const Layer& layer, SafetensorsWriter& writer) {
  std::visit(LayerWriter(prefix, writer), layer);
}

}  // namespace bytegate::detail
