// Runs a model, or one layer of a file of layers: run_model MODEL INPUT OUTPUT [LAYER]. INPUT is a safetensors file
// with a tensor `input`, OUTPUT gets `output`. Exit code 2: the library does not have a kind of layer in the model.
#include <bytegate/model_file.h>

#include <exception>
#include <iostream>
#include <string>

namespace {

bytegate::Sequential load(const std::string& path, const std::string& layer) {
  if (layer.empty()) return bytegate::load_model(path);
  bytegate::Sequential model;
  const bytegate::SafetensorsFile file = bytegate::SafetensorsFile::load(path);
  for (const bytegate::NamedLayer& found : bytegate::load_state_dict(file).layers) {
    if (found.name == layer) model.add(found.name, found.layer);
  }
  if (model.layers().empty()) {
    throw bytegate::Error(bytegate::ErrorCode::invalid_argument, path + " has no layer " + layer);
  }
  return model;
}

void run(const std::string& path, const std::string& in, const std::string& out, const std::string& layer) {
  const bytegate::Sequential model = load(path, layer);
  const bytegate::SafetensorsFile file = bytegate::SafetensorsFile::load(in);
  const bytegate::StoredTensor& stored = file.tensor("input");
  const bytegate::Shape shape(stored.shape);
  bytegate::Tensor y(model.output_shape(shape));
  bytegate::Workspace workspace;
  if (stored.dtype == "I64") {
    const auto indices = file.int64s("input");
    model.forward(bytegate::IndexView{indices.data(), shape}, y.view(), workspace);
  } else {
    const auto floats = file.floats("input");
    model.forward(bytegate::ConstTensorView{floats.data(), shape}, y.view(), workspace);
  }
  bytegate::SafetensorsWriter writer;
  writer.add("output", y.shape.dims(), std::span<const float>(y.data));
  writer.save(out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: run_model MODEL INPUT OUTPUT [LAYER]\n";
    return 1;
  }
  try {
    run(argv[1], argv[2], argv[3], argc > 4 ? argv[4] : "");
    return 0;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    std::cerr << message << '\n';
    return message.find("has the unknown kind") != std::string::npos ? 2 : 1;
  }
}
