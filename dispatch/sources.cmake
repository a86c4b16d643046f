# Files that do not run for every row or step. The names are of files in this folder and below; see cmake/library.cmake.
set(cold cpu_features.cpp error.cpp registry.cpp plugin.cpp select.cpp)
