#include "io/layer_tensors.h"

#include <mutex>

#include "io/text.h"

namespace bytegate::detail {

namespace {

/// Adds the tensors of the file that the layer is made of to `used`, which the mutex protects.
LayerPtr read_layer(const LayerFile& file, const LayerSpec& spec, std::mutex& mutex, std::set<std::string>& used) {
  FileSource source(file, spec, FileSource::Tensors::read);
  try {
    LayerPtr layer = spec.kind->make(source);
    source.check_fields();
    const std::lock_guard lock(mutex);
    for (const std::string& name : source.used()) used.insert(name);
    return layer;
  } catch (const Error& error) {
    // What a layer refuses is the file's fault here; what the choice of a backend refuses is not.
    if (error.code() != ErrorCode::invalid_argument && error.code() != ErrorCode::shape_mismatch) throw;
    fail_bad_file(file.file.what(), {"layer ", in_quotes(spec.name), ": ", error.what()});
  }
}

}  // namespace

std::vector<NamedLayer> LayerReader::read(const std::vector<LayerSpec>& specs, int num_threads) {
  std::vector<NamedLayer> layers;
  for (const LayerSpec& spec : specs) layers.push_back({spec.name, nullptr});
  std::mutex mutex;
  for_each_layer(specs.size(), num_threads,
                 [&](std::size_t i) { layers[i].layer = read_layer(file_, specs[i], mutex, used_); });
  return layers;
}

std::vector<std::string> LayerReader::unused() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file_.file.tensors()) {
    if (used_.count(name) == 0) names.push_back(name);
  }
  return names;
}

namespace {

/// A matrix in pieces of a few rows. T is the type of its values.
template <class T>
SafetensorsWriter::Producer rows_of(const Weight& weight) {
  return [weight](const SafetensorsWriter::Sink& sink) {
    constexpr std::int64_t kPieceBytes = 1 << 20;
    const std::int64_t row_bytes = weight.cols() * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t rows = std::max<std::int64_t>(kPieceBytes / std::max<std::int64_t>(row_bytes, 1), 1);
    std::vector<T> piece;
    for (std::int64_t first = 0; first < weight.rows(); first += rows) {
      const std::int64_t count = std::min(rows, weight.rows() - first);
      piece.resize(static_cast<std::size_t>(count * weight.cols()));
      weight.read(first, count, piece.data());
      sink(std::as_bytes(std::span(piece)));
    }
  };
}

/// Writes tensors under PyTorch's names. The layer must outlive the writer's save.
class LayerWriter final : public LayerVisitor {
 public:
  LayerWriter(const std::string& prefix, SafetensorsWriter& writer) : prefix_(prefix), writer_(writer) {}

 private:
  void tensor(const std::string& name, const Tensor& tensor) override {
    writer_.add(prefix_ + name, tensor.shape.dims(), std::span<const float>(tensor.data));
  }

  void weight(const std::string& name, const Weight& weight) override {
    const Shape tensor = weight.shape();
    const std::span<const std::int64_t> shape = tensor.dims();
    if (!weight.quantized()) return writer_.add(prefix_ + name, "F32", shape, rows_of<float>(weight));
    const std::int64_t scales[] = {static_cast<std::int64_t>(weight.scales().size())};
    writer_.add(prefix_ + name, "I8", shape, rows_of<std::int8_t>(weight));
    writer_.add(prefix_ + name + kScaleSuffix, scales, std::span<const float>(weight.scales()));
  }

  const std::string& prefix_;
  SafetensorsWriter& writer_;
};

}  // namespace

void write_layer(const std::string& prefix, const Layer& layer, SafetensorsWriter& writer) {
  LayerWriter layer_writer(prefix, writer);
  layer.describe(layer_writer);
}

}  // namespace bytegate::detail
