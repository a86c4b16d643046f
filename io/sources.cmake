# Files that do not run for every row or step, nor for every weight of a model. The names are of files in this folder
# and below; see cmake/library.cmake.
set(cold
  architecture.cpp
  file.cpp
  incomplete.cpp
  json.cpp
  layer_order.cpp
  layer_source.cpp
  layer_tensors.cpp
  model_file.cpp
  model_metadata.cpp
  model_plan.cpp
  recognize.cpp
  safetensors.cpp
  safetensors_header.cpp
  safetensors_writer.cpp
  state_dict.cpp
  tensor_names.cpp
  text.cpp)
