# Every folder of backends/ with a backend.cmake is a backend. That file sets
#   processors   the BYTEGATE_PROCESSORs it is built for
#   isa_flags    compiler flags of kernels.cpp alone; backend.cpp, the descriptor, gets none
#   needs        other backends whose kernels it calls, if any
# and, for scripts and tests alone (scripts/backend_table.sh, scripts/backend_table.py),
#   cpu_flags    what the CPU must have, as /proc/cpuinfo spells it; empty for none
#   qemu_cpus_x86_64, qemu_cpus_aarch64   CPU models of qemu on which this backend is the best
#   bochs_cpu    a CPU model of Bochs on which it runs, where qemu has none
#   mca_cpus     CPUs of scripts/mca.py: MODEL:NAME, with llvm's name of the model
#   stand_in     the backend that runs its kernels in tests where the CPU lacks an instruction, which a signal handler
#                then carries out (tests/support/stand_ins.cpp)
#   stand_in_flags   what the CPU must have for that, as cpu_flags
# The registry refers to bytegate::backends::<name>, which backend.cpp defines.
#
# Sets, for tools/, tests/ and bench/:
#   BYTEGATE_BACKEND_NAMES         the backends that are built
#   BYTEGATE_BACKENDS_LEFT_OUT     the others
#   BYTEGATE_<name>_PROCESSORS     a backend's processors
#   BYTEGATE_<name>_ISA_FLAGS      and its flags
#   BYTEGATE_<name>_STAND_IN       the name of its stand-in, if it has one
include(CheckCXXSourceCompiles)

set(BYTEGATE_KERNEL_FLAGS -fno-exceptions -fno-rtti)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A memset of a few vectors, inlined as `rep stos`, takes 40 cycles to start; versions of loops for strides of one are
  # copies of whole kernels.
  list(APPEND BYTEGATE_KERNEL_FLAGS -fno-tree-loop-distribute-patterns -fno-version-loops-for-strides)
endif()
if(BYTEGATE_SANITIZE)  # unrolled kernels with all checks and debug information take minutes and a gigabyte each
  list(APPEND BYTEGATE_KERNEL_FLAGS -O1 -g0)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND BYTEGATE_SANITIZE MATCHES "address")
    # Three quarters of those minutes are the analysis of what pointers may point to.
    list(APPEND BYTEGATE_KERNEL_FLAGS -fno-sanitize-address-use-after-scope -fno-tree-pta)
  endif()
endif()

set(all_names)
file(GLOB backend_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/backends/*/backend.cmake)
foreach(file IN LISTS backend_files)
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(GET folder FILENAME name)
  set(processors)
  set(isa_flags)
  set(needs)
  set(stand_in)
  include(${file})
  set(BYTEGATE_${name}_PROCESSORS ${processors})
  set(BYTEGATE_${name}_ISA_FLAGS ${isa_flags})
  set(BYTEGATE_${name}_NEEDS ${needs})
  set(BYTEGATE_${name}_STAND_IN ${stand_in})
  list(APPEND all_names ${name})
endforeach()

foreach(name IN LISTS BYTEGATE_BACKENDS)
  if(NOT name IN_LIST all_names)
    list(JOIN all_names ", " known)
    message(FATAL_ERROR "BYTEGATE_BACKENDS names \"${name}\", which is no backend. There are: ${known}. "
      "(A list in CMake has semicolons: \"scalar;avx2\".)")
  endif()
endforeach()

# bytegate_compiles(NAME RESULT): whether the compiler knows the backend's flags.
function(bytegate_compiles name result)
  list(JOIN BYTEGATE_${name}_ISA_FLAGS " " CMAKE_REQUIRED_FLAGS)
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("int main() {}" BYTEGATE_COMPILES_${name})
  set(${result} ${BYTEGATE_COMPILES_${name}} PARENT_SCOPE)
endfunction()

# A backend that others need is built with them.
set(wanted ${BYTEGATE_BACKENDS})
foreach(name IN LISTS BYTEGATE_BACKENDS)
  list(APPEND wanted ${BYTEGATE_${name}_NEEDS})
endforeach()

set(BYTEGATE_BACKEND_OBJECTS)
set(BYTEGATE_BACKEND_NAMES)
set(BYTEGATE_BACKENDS_LEFT_OUT)
set(declarations "")
set(pointers "")
foreach(name IN LISTS all_names)
  set(chosen ON)
  if(NOT BYTEGATE_PROCESSOR IN_LIST BYTEGATE_${name}_PROCESSORS)
    set(chosen OFF)
  elseif(wanted AND NOT name STREQUAL "scalar" AND NOT name IN_LIST wanted)
    set(chosen OFF)
  else()
    bytegate_compiles(${name} chosen)
    if(NOT chosen)
      message(STATUS "bytegate: the backend ${name} is left out, since this compiler does not know all of "
        "${BYTEGATE_${name}_ISA_FLAGS}")
    endif()
  endif()
  if(NOT chosen)
    list(APPEND BYTEGATE_BACKENDS_LEFT_OUT ${name})
    continue()
  endif()

  # The objects of an archive need names of their own, and an object is named after its source: so each source is
  # included by one that carries the backend's name.
  set(backend_sources)
  foreach(part IN ITEMS backend kernels)
    set(source ${PROJECT_BINARY_DIR}/backends/${name}/${part}_${name}.cpp)
    file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
      "#include \"backends/${name}/${part}.cpp\"  // see cmake/backends.cmake\n")
    list(APPEND backend_sources ${source})
  endforeach()
  set_source_files_properties(${PROJECT_BINARY_DIR}/backends/${name}/kernels_${name}.cpp PROPERTIES
    COMPILE_OPTIONS "${BYTEGATE_${name}_ISA_FLAGS};${BYTEGATE_KERNEL_FLAGS}")
  add_library(bytegate_backend_${name} OBJECT ${backend_sources})
  # Neither link-time optimization nor a unity build of the surrounding project may bring code of one instruction set
  # into that of another.
  set_target_properties(bytegate_backend_${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    INTERPROCEDURAL_OPTIMIZATION OFF UNITY_BUILD OFF)
  target_compile_options(bytegate_backend_${name} PRIVATE "SHELL:-fno-lto -fvisibility=hidden")
  target_link_libraries(bytegate_backend_${name} PRIVATE bytegate_flags bytegate_xsimd)
  list(APPEND BYTEGATE_BACKEND_NAMES ${name})
  list(APPEND BYTEGATE_BACKEND_OBJECTS $<TARGET_OBJECTS:bytegate_backend_${name}>)
  string(APPEND declarations "extern const Backend ${name};\n")
  string(APPEND pointers "&backends::${name}, ")
endforeach()

set(BYTEGATE_REGISTRY_SOURCE ${PROJECT_BINARY_DIR}/builtin_backends.cpp)
file(CONFIGURE OUTPUT ${BYTEGATE_REGISTRY_SOURCE} CONTENT
[[// Made by cmake/backends.cmake from the folders of backends/.
#include "dispatch/registry.h"

namespace bytegate {
namespace backends {
@declarations@}  // namespace backends

namespace dispatch {
const Backend* const kBuiltinBackends[] = {@pointers@nullptr};
}
}  // namespace bytegate
]] @ONLY)
