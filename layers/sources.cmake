# Files that do not run for every call, row or step, nor for every weight of a model. The names are of files in this
# folder and below; see cmake/library.cmake.
set(cold
  checks.cpp
  gru.cpp
  kinds.cpp
  layer.cpp
  lstm.cpp
  quantize_dynamic.cpp
  recurrent_core.cpp
  recurrent_layer.cpp
  scheme.cpp
  sequential.cpp
  tensor.cpp
  version.cpp
  weight.cpp
  workspace.cpp)
