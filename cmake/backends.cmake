# Every folder of backends/ with a backend.cmake is a backend. That file sets
#   processors   the BYTEGATE_PROCESSORs it is built for
#   isa_flags    compiler flags of kernels.cpp alone; backend.cpp, the descriptor, gets none
# and the registry refers to bytegate::backends::<name>, which backend.cpp defines.
set(BYTEGATE_KERNEL_FLAGS -fno-exceptions -fno-rtti)
if(BYTEGATE_SANITIZE)  # unrolled kernels with all checks and debug information take a compiler minutes and a gigabyte each
  list(APPEND BYTEGATE_KERNEL_FLAGS -O1 -g0)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND BYTEGATE_SANITIZE MATCHES "address")
    list(APPEND BYTEGATE_KERNEL_FLAGS -fno-sanitize-address-use-after-scope)
  endif()
endif()

set(BYTEGATE_BACKEND_OBJECTS)
set(BYTEGATE_BACKEND_NAMES)
set(declarations "")
set(pointers "")
file(GLOB backend_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/backends/*/backend.cmake)
foreach(file IN LISTS backend_files)
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(GET folder FILENAME name)
  set(processors)
  set(isa_flags)
  include(${file})
  if(NOT BYTEGATE_PROCESSOR IN_LIST processors)
    continue()
  endif()
  add_library(bytegate_backend_${name} OBJECT ${folder}/backend.cpp ${folder}/kernels.cpp)
  set_target_properties(bytegate_backend_${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    INTERPROCEDURAL_OPTIMIZATION OFF)
  target_link_libraries(bytegate_backend_${name} PRIVATE bytegate_flags)
  set_source_files_properties(${folder}/kernels.cpp PROPERTIES COMPILE_OPTIONS "${isa_flags};${BYTEGATE_KERNEL_FLAGS}")
  list(APPEND BYTEGATE_BACKEND_NAMES ${name})
  list(APPEND BYTEGATE_BACKEND_OBJECTS $<TARGET_OBJECTS:bytegate_backend_${name}>)
  string(APPEND declarations "extern const Backend ${name};\n")
  string(APPEND pointers "&backends::${name}, ")
endforeach()
set(BYTEGATE_REGISTRY_SOURCE ${PROJECT_BINARY_DIR}/builtin_backends.cpp)
file(CONFIGURE OUTPUT ${BYTEGATE_REGISTRY_SOURCE} CONTENT [[// Made by cmake/backends.cmake from the folders of backends/.
#include "dispatch/registry.h"

namespace bytegate {
namespace backends {
@declarations@}  // namespace backends

namespace dispatch {
const Backend* const kBuiltinBackends[] = {@pointers@nullptr};
}
}  // namespace bytegate
]] @ONLY)
