// Models from files, and from arrays as if they were a file's.
#pragma once

#include <bytegate/bytegate.h>
#include <bytegate/model_file.h>

#include "capi/handles.h"

namespace bytegate::capi {

/// The model of a file, which the caller deletes; `architecture`, which may be null, is that of the options.
Model* load(const SafetensorsFile& file, const bytegate_load_options& from, const char* architecture);

}  // namespace bytegate::capi
