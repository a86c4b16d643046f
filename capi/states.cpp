// States and workspaces.
#include "capi/call.h"
#include "capi/handles.h"

using namespace bytegate;
using namespace bytegate::capi;

namespace bytegate::capi {
namespace {

LayerState& state_of(const bytegate_state* state, std::size_t layer) {
  ModelState& all = get(state);
  if (layer < all.layers.size()) return all.layers[layer];
  fail(BYTEGATE_INVALID_ARGUMENT, {"the state is of ", all.layers.size(), " layers, whose indices begin at 0",
                                   all.layers.empty() ? "; it is empty until it is used or prepared" : ""});
}

}  // namespace
}  // namespace bytegate::capi

extern "C" {

BYTEGATE_FUNCTION bytegate_status bytegate_workspace_create(int32_t num_threads, bytegate_workspace** workspace) try {
  clear(workspace, "workspace");
  *workspace = static_cast<bytegate_workspace*>(open_handle(new Workspace(num_threads), Kind::workspace));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_workspace_bytes(const bytegate_workspace* workspace, size_t* bytes) try {
  const Workspace& object = get(workspace);
  need(bytes, "bytes");
  *bytes = object.bytes();
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_workspace_close(bytegate_workspace* workspace) {
  return close_handle(workspace, Kind::workspace);
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_create(bytegate_state** state) try {
  clear(state, "state");
  *state = static_cast<bytegate_state*>(open_handle(new ModelState, Kind::state));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_prepare(bytegate_state* state, const bytegate_model* model,
                                                         const int64_t* x_shape, size_t x_rank) try {
  ModelState& object = get(state);
  object = get(model).sequential.zero_state(shape_of(x_shape, x_rank));
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_reset(bytegate_state* state) try {
  get(state).layers.clear();
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_tensor_count(const bytegate_state* state, size_t layer,
                                                              size_t* count) try {
  const LayerState& tensors = state_of(state, layer);
  need(count, "count");
  *count = tensors.size();
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_tensor(bytegate_state* state, size_t layer, size_t index, float** data,
                                                        int64_t* shape, size_t* rank) try {
  LayerState& tensors = state_of(state, layer);
  if (index >= tensors.size()) {
    fail(BYTEGATE_INVALID_ARGUMENT,
         {"the state of layer ", layer, " has ", tensors.size(), " tensors, whose indices begin at 0"});
  }
  need(data, "data");
  write_shape(tensors[index].shape, shape, rank);
  *data = tensors[index].data.data();
  return BYTEGATE_OK;
} catch (...) {
  return keep_error();
}

BYTEGATE_FUNCTION bytegate_status bytegate_state_close(bytegate_state* state) {
  return close_handle(state, Kind::state);
}
}
