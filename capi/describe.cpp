// Models described: JSON and numbers.
#include <cstring>
#include <string_view>

#include "capi/call.h"
#include "capi/handles.h"
#include "capi/json.h"

namespace bytegate::capi {
namespace {

const char* truth(bool value) { return value ? "true" : "false"; }

struct Sizes {
  std::size_t parameters = 0;
  std::size_t bytes = 0;  ///< of the tensors, as they are in a file

  void put(Json& out) const {
    out.put("parameters", parameters);
    out.put("bytes", bytes);
  }
};

/// What one layer is.
class LayerReport final : public LayerVisitor {
 public:
  LayerReport() = default;

  /// The layer as an object, and what it adds to the model's sizes.
  void write(const NamedLayer& layer, Json& out, Sizes& all) {
    head_.put("name", layer.name);
    head_.put("text", to_string(*layer.layer));
    layer.layer->describe(*this);
    head_.put_json("quantized", truth(quantized_));
    fields_.text += '}';
    tensors_.text += ']';
    head_.put_json("fields", fields_.text);
    head_.put_json("tensors", tensors_.text);
    sizes_.put(head_);
    out.separate();
    out.text += head_.text;
    out.text += '}';
    all.parameters += sizes_.parameters;
    all.bytes += sizes_.bytes;
  }

 private:
  void begin(std::string_view kind, std::string_view) override { head_.put("kind", kind); }
  void field(const LayerField& field) override {
    if (!field.in_architecture) return;
    fields_.name(field.name);
    const std::string value = to_string(field);
    if (field.is_word())
      fields_.quote(value);
    else
      fields_.text += value;
  }
  void scheme(const Scheme& scheme) override { head_.put("scheme", to_string(scheme)); }
  void weight(const std::string& name, const Weight& weight) override {
    quantized_ = quantized_ || weight.quantized();
    add(name, weight.shape(), weight.quantized());
    sizes_.bytes += weight.scales().size() * sizeof(float);
  }
  void tensor(const std::string& name, const Tensor& tensor) override { add(name, tensor.shape, false); }

  void add(const std::string& name, const Shape& shape, bool int8) {
    sizes_.parameters += shape.elements();
    sizes_.bytes += shape.elements() * (int8 ? 1 : sizeof(float));
    tensors_.separate();
    tensors_.text += '{';
    tensors_.put("name", name);
    tensors_.put("dtype", int8 ? "I8" : "F32");
    tensors_.put_json("shape", to_string(shape));
    tensors_.text += '}';
  }

  Json head_{"{"}, fields_{"{"}, tensors_{"["};
  bool quantized_ = false;
  Sizes sizes_;
};

std::string describe(const Model& model) {
  Json out("{");
  out.put("name", model.sequential.name());
  out.put("text", to_string(model.sequential));
  out.put_json("takes_indices", truth(model.sequential.takes_indices()));
  out.put_json("guessed", truth(model.guessed));
  out.put_json("notes", model.notes);
  out.put_json("layers", "[");
  Sizes sizes;
  for (const NamedLayer& layer : model.sequential.layers()) LayerReport().write(layer, out, sizes);
  out.text += ']';
  sizes.put(out);
  out.text += '}';
  return std::move(out.text);
}

}  // namespace
}  // namespace bytegate::capi

using namespace bytegate;
using namespace bytegate::capi;

extern "C" {

BYTEGATE_FUNCTION bytegate_status bytegate_model_describe(const bytegate_model* model, char* buffer, size_t size,
                                                          size_t* needed) try {
  const Model& object = get(model);
  need(needed, "needed");
  const std::string text = describe(object);
  *needed = text.size() + 1;
  if (!buffer && size == 0) return BYTEGATE_OK;
  need(buffer, "buffer");
  if (size < *needed)
    fail(BYTEGATE_BUFFER_TOO_SMALL, {"the text takes ", *needed, " bytes, and the buffer has ", size});
  std::memcpy(buffer, text.c_str(), *needed);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_get_info(const bytegate_model* model, bytegate_model_info* info) try {
  const Sequential& sequential = get(model).sequential;
  need(info, "info");
  bytegate_model_info out{};
  out.num_layers = sequential.layers().size();
  out.input_size = out.num_layers == 0 ? -1 : sequential.layers().front().layer->input_size();
  out.takes_indices = sequential.takes_indices();
  write_struct(&out, sizeof out, info);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}
}
