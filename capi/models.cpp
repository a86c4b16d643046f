// Models: loading, making, quantizing, saving, shapes and forward.
#include "capi/models.h"

#include <bytegate/model_file.h>

#include <cstddef>
#include <span>
#include <utility>

#include "capi/call.h"
#include "capi/handles.h"
#include "capi/json.h"

namespace bytegate::capi {
namespace {

int threads_of(std::int32_t num_threads) { return num_threads == 0 ? 1 : num_threads; }

std::string text_of(const char* text) { return text ? text : ""; }

void add_texts(const char* const* data, std::size_t size, const char* name, std::vector<std::string>& out) {
  need_array(data, size, name);
  for (std::size_t i = 0; i < size; ++i) {
    need(data[i], name);
    out.emplace_back(data[i]);
  }
}

void read_options(const bytegate_quantize_options* given, QuantizeOptions& options) {
  const bytegate_quantize_options& from = read_struct(given);
  if (from.scheme) options.scheme = parse_scheme(from.scheme);
  add_texts(from.kinds, from.num_kinds, "kinds", options.kinds);
  add_texts(from.include, from.num_include, "include", options.include);
  add_texts(from.exclude, from.num_exclude, "exclude", options.exclude);
  options.backend = backend_of(from.backend);
  options.num_threads = threads_of(from.num_threads);
}

/// What a forward on floats and one on indices have in common.
struct ForwardCall {
  ForwardCall(const bytegate_model* model, const bytegate_workspace* scratch, const bytegate_forward_options* given)
      : sequential(get(model).sequential), workspace(get(scratch)) {
    const bytegate_forward_options& options = read_struct(given);
    need_array(options.lengths, options.num_lengths, "lengths");
    lengths = {options.lengths, options.num_lengths};
    if (options.state) state = &get(options.state);
  }

  const Sequential& sequential;
  Workspace& workspace;
  ModelState* state = nullptr;
  std::span<const std::int64_t> lengths{};
};

}  // namespace

Model* load(const SafetensorsFile& file, const bytegate_load_options& from, const char* architecture) {
  QuantizeOptions quantize;
  LoadReport report;
  LoadOptions options;
  options.backend = backend_of(from.backend);
  options.architecture = text_of(architecture);
  options.name = text_of(from.name);
  options.guess_architecture = from.guess_architecture != 0;
  options.ignore_extra = from.ignore_extra != 0;
  options.num_threads = threads_of(from.num_threads);
  options.report = &report;
  if (from.quantize) {
    read_options(from.quantize, quantize);
    options.quantize = &quantize;
  }
  Sequential model = load_model(file, options);
  Json notes("[");
  for (const std::string& note : report.notes) {
    notes.separate();
    notes.quote(note);
  }
  notes.text += ']';
  return new Model{std::move(model), report.guessed, std::move(notes.text)};
}

}  // namespace bytegate::capi

using namespace bytegate;
using namespace bytegate::capi;

extern "C" {

BYTEGATE_FUNCTION bytegate_status bytegate_model_load(const char* path, const bytegate_load_options* options,
                                                      bytegate_model** model) try {
  clear(model, "model");
  need(path, "path");
  const bytegate_load_options& from = read_struct(options);
  *model = open(load(SafetensorsFile::load(path), from, from.architecture));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_load_memory(const void* data, size_t size,
                                                             const bytegate_load_options* options,
                                                             bytegate_model** model) try {
  clear(model, "model");
  need_array(data, size, "data");
  const bytegate_load_options& from = read_struct(options);
  const auto* bytes = static_cast<const std::byte*>(data);
  *model = open(load(SafetensorsFile::parse({bytes, bytes + size}, "the model in memory"), from, from.architecture));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_from_tensors(const char* architecture, const bytegate_tensor* tensors,
                                                              size_t count, const bytegate_load_options* options,
                                                              bytegate_model** model) try {
  clear(model, "model");
  need(architecture, "architecture");
  need_array(tensors, count, "tensors");
  const bytegate_load_options& from = read_struct(options);
  if (from.architecture) fail(BYTEGATE_INVALID_ARGUMENT, {"the architecture is stated twice"});
  SafetensorsWriter writer;
  const auto* at = reinterpret_cast<const char*>(tensors);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& tensor = read_struct(reinterpret_cast<const bytegate_tensor*>(at));
    at += tensor.struct_size;  // as large as it is for the caller
    need(tensor.name, "the name of a tensor");
    need_array(tensor.shape, tensor.rank, "the shape of a tensor");
    need_array(tensor.data, tensor.bytes, "the data of a tensor");
    writer.add(tensor.name, tensor.dtype ? tensor.dtype : "F32", {tensor.shape, tensor.rank},
               {static_cast<const std::byte*>(tensor.data), tensor.bytes});
  }
  *model = open(load(SafetensorsFile::parse(writer.bytes(), "the tensors"), from, architecture));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error(BYTEGATE_INVALID_ARGUMENT);  // there is no file
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_create(const char* name, const char* const* layer_names,
                                                        const bytegate_layer* const* layers, size_t count,
                                                        bytegate_model** model) try {
  clear(model, "model");
  need_array(layer_names, count, "layer_names");
  need_array(layers, count, "layers");
  Sequential made(name ? name : "Sequential");
  for (std::size_t i = 0; i < count; ++i) {
    need(layer_names[i], "the name of a layer");
    made.add(layer_names[i], get(layers[i]));
  }
  *model = open(new Model{std::move(made)});
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_quantize(const bytegate_model* model,
                                                          const bytegate_quantize_options* options,
                                                          bytegate_model** quantized) try {
  clear(quantized, "quantized");
  const Model& from = get(model);
  QuantizeOptions to;
  read_options(options, to);
  *quantized = open(new Model{quantize_dynamic(from.sequential, to), from.guessed, from.notes});
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_save(const bytegate_model* model, const char* path) try {
  const Model& from = get(model);
  need(path, "path");
  SaveOptions options;
  options.guessed = from.guessed;
  save_model(from.sequential, path, options);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_close(bytegate_model* model) {
  return close_handle(model, Kind::model);
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_output_shape(const bytegate_model* model, const int64_t* x_shape,
                                                              size_t x_rank, int64_t* y_shape, size_t* y_rank) try {
  write_shape(get(model).sequential.output_shape(shape_of(x_shape, x_rank)), y_shape, y_rank);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_forward(const bytegate_model* model, const float* x,
                                                         const int64_t* x_shape, size_t x_rank, float* y,
                                                         const int64_t* y_shape, size_t y_rank,
                                                         bytegate_workspace* workspace,
                                                         const bytegate_forward_options* options) try {
  const ForwardCall call(model, workspace, options);
  call.sequential.forward(ConstTensorView{x, shape_of(x_shape, x_rank)}, TensorView{y, shape_of(y_shape, y_rank)},
                          call.workspace, call.state, call.lengths);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_model_forward_indices(const bytegate_model* model, const int64_t* x,
                                                                 const int64_t* x_shape, size_t x_rank, float* y,
                                                                 const int64_t* y_shape, size_t y_rank,
                                                                 bytegate_workspace* workspace,
                                                                 const bytegate_forward_options* options) try {
  const ForwardCall call(model, workspace, options);
  call.sequential.forward(IndexView{x, shape_of(x_shape, x_rank)}, TensorView{y, shape_of(y_shape, y_rank)},
                          call.workspace, call.state, call.lengths);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}
}
