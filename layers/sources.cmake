# Files that do not run for every call, row or step, nor for every weight of a model. The names are of files in this
# folder and below; see cmake/library.cmake.
set(cold
  batch_norm.cpp
  checks.cpp
  for_each_layer.cpp
  kinds.cpp
  layer.cpp
  lstm.cpp
  quantize_dynamic.cpp
  recurrent_core.cpp
  scheme.cpp
  sequential.cpp
  tensor.cpp
  version.cpp
  weight.cpp
  workspace.cpp)
