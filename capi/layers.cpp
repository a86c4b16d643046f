// Layers from the caller's arrays: each is read as the one layer of a file in memory.
#include <bytegate/recurrent.h>

#include <cstddef>
#include <memory>

#include "capi/call.h"
#include "capi/handles.h"
#include "capi/json.h"
#include "capi/models.h"

namespace bytegate::capi {
namespace {

/// The tensors of one layer, whose name is its kind.
struct LayerFile {
  const char* kind;
  SafetensorsWriter writer{};

  /// A matrix, or a vector if cols is 0; `arrays` may be null.
  void add(const char* name, const std::string& suffix, const float* const* arrays, std::size_t cell, std::int64_t rows,
           std::int64_t cols) {
    const float* data = arrays ? arrays[cell] : nullptr;
    need(data, name);
    const std::int64_t shape[] = {rows, cols};
    const std::size_t count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols == 0 ? 1 : cols);
    writer.add(detail::join_text({kind, ".", name, suffix}), {shape, cols == 0 ? 1u : 2u}, {data, count});
  }
  /// `fields`: JSON members.
  void make(const Json& fields, const char* backend, bytegate_layer** out) const {
    const std::string architecture =
        detail::join_text({"[{\"name\":\"", kind, "\",\"kind\":\"", kind, "\",", fields.text, "}]"});
    bytegate_load_options options{};
    options.backend = backend;
    const std::unique_ptr<Model> model(
        load(SafetensorsFile::parse(writer.bytes(), "the arrays"), options, architecture.c_str()));
    auto* layer = new LayerPtr(model->sequential.layers()[0].layer);
    *out = static_cast<bytegate_layer*>(open_handle(layer, Kind::layer));
  }
};

void make_recurrent(const char* kind, std::int64_t gates, const bytegate_recurrent_options* given,
                    bytegate_layer** out) {
  clear(out, "layer");
  need(given, "options");
  const bytegate_recurrent_options& from = read_struct(given);
  RecurrentConfig config;
  config.input_size = from.input_size;
  config.hidden_size = from.hidden_size;
  config.num_layers = from.num_layers == 0 ? 1 : from.num_layers;
  config.bidirectional = from.bidirectional != 0;
  config.proj_size = from.proj_size;
  validate(config);
  const auto cells = static_cast<std::size_t>(config.num_layers * config.directions());
  if (from.num_cells != cells) {
    fail(BYTEGATE_INVALID_ARGUMENT,
         {"num_cells is ", from.num_cells, "; expected is ", cells, ", one for each layer and direction"});
  }
  if (from.weight_hr && config.proj_size == 0) fail(BYTEGATE_INVALID_ARGUMENT, {"weight_hr needs a proj_size"});
  LayerFile file{kind};
  const std::int64_t rows = gates * config.hidden_size;
  for (std::size_t i = 0; i < cells; ++i) {
    const std::int64_t layer = static_cast<std::int64_t>(i) / config.directions();
    const std::string suffix = lstm_suffix(layer, config.bidirectional && i % 2 == 1);
    file.add("weight_ih", suffix, from.weight_ih, i, rows, config.layer_input_size(layer));
    file.add("weight_hh", suffix, from.weight_hh, i, rows, config.output_size());
    if (from.bias_ih || from.bias_hh) {
      file.add("bias_ih", suffix, from.bias_ih, i, rows, 0);
      file.add("bias_hh", suffix, from.bias_hh, i, rows, 0);
    }
    if (config.proj_size > 0) file.add("weight_hr", suffix, from.weight_hr, i, config.proj_size, config.hidden_size);
  }
  // What the tensors do not show, and what must agree with them.
  Json fields;
  fields.put_json("batch_first", from.batch_first != 0 ? "true" : "false");
  if (config.proj_size != 0) fields.put("proj_size", static_cast<std::size_t>(config.proj_size));
  if (from.reset_before != 0) fields.put_json("reset_after", "false");
  file.make(fields, from.backend, out);
}

void make_linear(const bytegate_linear_options* given, bytegate_layer** out) {
  clear(out, "layer");
  need(given, "options");
  const bytegate_linear_options& from = read_struct(given);
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  const std::int64_t k = from.in_features, n = from.out_features;
  if (k < 1 || k > std::int64_t{kMaxK} || n < 1 || n >= kMost) {
    fail(BYTEGATE_INVALID_ARGUMENT,
         {"in_features is ", k, " and out_features ", n, "; accepted are 1 to ", kMaxK, " and 1 to ", kMost - 1});
  }
  LayerFile file{"linear"};
  file.add("weight", "", &from.weight, 0, n, k);
  if (from.bias) file.add("bias", "", &from.bias, 0, n, 0);
  Json fields;
  fields.put_json("relu", from.relu != 0 ? "true" : "false");
  file.make(fields, from.backend, out);
}

}  // namespace
}  // namespace bytegate::capi

using namespace bytegate;
using namespace bytegate::capi;

extern "C" {

BYTEGATE_FUNCTION bytegate_status bytegate_linear_create(const bytegate_linear_options* options,
                                                         bytegate_layer** layer) try {
  make_linear(options, layer);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error(BYTEGATE_INVALID_ARGUMENT);  // there is no file
}

BYTEGATE_FUNCTION bytegate_status bytegate_lstm_create(const bytegate_recurrent_options* options,
                                                       bytegate_layer** layer) try {
  make_recurrent("lstm", cell_gates(Cell::lstm), options, layer);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error(BYTEGATE_INVALID_ARGUMENT);
}

BYTEGATE_FUNCTION bytegate_status bytegate_gru_create(const bytegate_recurrent_options* options,
                                                      bytegate_layer** layer) try {
  make_recurrent("gru", cell_gates(Cell::gru), options, layer);
  return BYTEGATE_OK;
} catch (...) {
  return keep_error(BYTEGATE_INVALID_ARGUMENT);
}

BYTEGATE_FUNCTION bytegate_status bytegate_layer_close(bytegate_layer* layer) {
  return close_handle(layer, Kind::layer);
}
}
