// Every public header includes this file before anything else.
#pragma once

#if !defined(__cplusplus) || __cplusplus <= 201703L
#error bytegate needs C++20: compile with -std=c++20, or in CMake target_compile_features(program PRIVATE cxx_std_20)
#endif
