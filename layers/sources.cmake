# Files that do not run for every call, row or step, nor for every weight of a model. The names are of files in this
# folder and below; see cmake/library.cmake.
set(cold
  activations.cpp
  batch_norm.cpp
  checks.cpp
  conv1d.cpp
  flatten.cpp
  for_each_layer.cpp
  gru.cpp
  kinds.cpp
  last_step.cpp
  layer.cpp
  layer_norm.cpp
  lstm.cpp
  permute.cpp
  quantize_dynamic.cpp
  recurrent_core.cpp
  recurrent_layer.cpp
  rnn.cpp
  scheme.cpp
  sequential.cpp
  share.cpp
  softmax.cpp
  tensor.cpp
  version.cpp
  weight.cpp
  workspace.cpp)
