// The handles of the C interface and what they stand for.
#pragma once

#include <bytegate/bytegate.h>
#include <bytegate/model.h>

#include <cstdint>
#include <string>

#include "capi/call.h"

namespace bytegate::capi {

struct Model {
  Sequential sequential;
  bool guessed = false;      ///< LoadReport::guessed
  std::string notes = "[]";  ///< LoadReport::notes, as JSON
};

/// What a handle is of: its lowest bits.
enum class Kind : std::uintptr_t { model = 1, layer, state, workspace };

/// A new handle of the object, which is deleted if there is none to be had: too many handles, no memory.
void* open_handle(void* object, Kind kind);
/// The object of a handle. Throws (null pointer, invalid handle).
void* find_object(const void* handle, Kind kind);
/// Closes the handle and deletes the object: the whole of the functions that close handles.
bytegate_status close_handle(void* handle, Kind kind) noexcept;

inline Model& get(const bytegate_model* model) { return *static_cast<Model*>(find_object(model, Kind::model)); }
inline LayerPtr& get(const bytegate_layer* layer) { return *static_cast<LayerPtr*>(find_object(layer, Kind::layer)); }
inline ModelState& get(const bytegate_state* state) {
  return *static_cast<ModelState*>(find_object(state, Kind::state));
}
inline Workspace& get(const bytegate_workspace* workspace) {
  return *static_cast<Workspace*>(find_object(workspace, Kind::workspace));
}

inline bytegate_model* open(Model* model) { return static_cast<bytegate_model*>(open_handle(model, Kind::model)); }

/// The caller's place for a handle: set to null, so that it is after an error.
template <class Handle>
void clear(Handle** handle, const char* name) {
  need(handle, name);
  *handle = nullptr;
}

}  // namespace bytegate::capi
