# What the library itself is made with. bytegate_cpuinfo, bytegate_json and bytegate_xsimd are what this project's
# targets link with; each is, in this order, a target that the surrounding project has made, a CMake package, or files.
find_package(Threads REQUIRED)

# cpuinfo: a library that a user's program needs too.
include(${CMAKE_CURRENT_LIST_DIR}/find_cpuinfo.cmake)
add_library(bytegate_cpuinfo INTERFACE)
bytegate_find_cpuinfo(bytegate_cpuinfo)
if(NOT BYTEGATE_CPUINFO_FOUND_AS)
  message(FATAL_ERROR "bytegate needs cpuinfo (https://github.com/pytorch/cpuinfo; Debian: libcpuinfo-dev). It was "
    "found neither as a target (cpuinfo or cpuinfo::cpuinfo) nor as a CMake package nor as cpuinfo.h and libcpuinfo; "
    "CMAKE_PREFIX_PATH says where to look besides.")
endif()
message(STATUS "bytegate: cpuinfo is a ${BYTEGATE_CPUINFO_FOUND_AS}: ${BYTEGATE_CPUINFO_LINK}")

# bytegate_find_headers(TARGET PACKAGE HEADER DEBIAN_PACKAGE NAME...): headers that are needed to build the library and
# not to use it.
function(bytegate_find_headers target package header debian_package)
  add_library(${target} INTERFACE)
  foreach(attempt IN ITEMS "existing" "package")
    foreach(name IN LISTS ARGN)
      if(TARGET ${name})
        # Its folders alone: Debian's xsimd would link with a library that is not there.
        target_include_directories(${target} SYSTEM INTERFACE $<TARGET_PROPERTY:${name},INTERFACE_INCLUDE_DIRECTORIES>)
        return()
      endif()
    endforeach()
    if(attempt STREQUAL "existing")
      find_package(${package} CONFIG QUIET)
    endif()
  endforeach()
  find_path(BYTEGATE_${package}_INCLUDE_DIR ${header})
  if(NOT BYTEGATE_${package}_INCLUDE_DIR)
    message(FATAL_ERROR "bytegate needs the headers of ${package} (Debian: ${debian_package}). They were found neither "
      "as a target nor as a CMake package nor as <${header}>; CMAKE_PREFIX_PATH says where to look besides.")
  endif()
  target_include_directories(${target} SYSTEM INTERFACE ${BYTEGATE_${package}_INCLUDE_DIR})
endfunction()

bytegate_find_headers(bytegate_json nlohmann_json nlohmann/json.hpp nlohmann-json3-dev
  nlohmann_json::nlohmann_json nlohmann_json)
bytegate_find_headers(bytegate_xsimd xsimd xsimd/xsimd.hpp libxsimd-dev xsimd::xsimd xsimd)
