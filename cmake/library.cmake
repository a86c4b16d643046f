# bytegate: the library, with the C interface in an object of its own. bytegate_c: the shared library of the C
# interface. bytegate_static: bytegate, or a static library of the same objects if that is shared. bytegate_internals: a
# static library whose hidden functions tests can call. docs/decisions/0012-c-interface.md says which is made when.
#
# A file of dispatch/, layers/ or io/ is cold if a sources.cmake in its folder, or in one above, names it, and hot if
# none does. Hot files run for every call, row or step and are compiled with the build type's optimization; cold ones,
# which run once in the life of a model, for size.
file(GLOB_RECURSE sources CONFIGURE_DEPENDS dispatch/*.cpp layers/*.cpp io/*.cpp)
file(GLOB_RECURSE lists CONFIGURE_DEPENDS dispatch/sources.cmake layers/sources.cmake io/sources.cmake)
set(cold_sources)
foreach(list IN LISTS lists)
  set(cold)
  set(found)
  include(${list})
  cmake_path(GET list PARENT_PATH folder)
  foreach(source IN LISTS sources)
    cmake_path(GET source FILENAME name)
    cmake_path(IS_PREFIX folder ${source} below)
    if(below AND name IN_LIST cold)
      list(APPEND cold_sources ${source})
      list(APPEND found ${name})
    endif()
  endforeach()
  list(REMOVE_ITEM cold "" ${found})
  if(cold)
    message(FATAL_ERROR "${list} lists ${cold}, and there is no such file in ${folder} or below: "
      "correct the name or take it out.")
  endif()
endforeach()
set(hot_sources ${sources})
list(REMOVE_ITEM hot_sources ${cold_sources})

# All hot files are compiled together, and all cold ones: in an object of its own each file would hold its own copies of
# std::string's functions. Every object has a name of its own, so that tools that unpack an archive lose none.
set_source_files_properties(${hot_sources} PROPERTIES UNITY_GROUP hot)
set_source_files_properties(${cold_sources} PROPERTIES UNITY_GROUP cold)

set(BYTEGATE_VERSION_HEADER ${PROJECT_BINARY_DIR}/include/bytegate/version.h)
configure_file(cmake/version.h.in ${BYTEGATE_VERSION_HEADER} @ONLY)

set(objects)
foreach(temperature IN ITEMS hot cold)
  add_library(bytegate_${temperature} OBJECT ${${temperature}_sources})
  set_target_properties(bytegate_${temperature} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  target_link_libraries(bytegate_${temperature} PRIVATE bytegate_flags bytegate_cpuinfo bytegate_json Threads::Threads)
  if(BYTEGATE_PARTIAL_LINK)  # takes machine code, and what is unique in a program only in sections of its own
    set_target_properties(bytegate_${temperature} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
    target_compile_options(bytegate_${temperature} PRIVATE -fno-lto $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  endif()
  list(APPEND objects $<TARGET_OBJECTS:bytegate_${temperature}>)
endforeach()
target_compile_options(bytegate_cold PRIVATE "$<$<CONFIG:Release>:${BYTEGATE_COLD_FLAGS}>")
target_compile_options(bytegate_hot PRIVATE "$<$<CONFIG:Release>:${BYTEGATE_HOT_FLAGS}>")
target_sources(bytegate_cold PRIVATE ${BYTEGATE_REGISTRY_SOURCE})

# The C interface is thin, and all of it is compiled for size, as one object that shows its functions and nothing else
# (-fwhole-program). Otherwise a third of it would be names, sections and relocations. A program that does not use it
# does not link it.
file(GLOB sources CONFIGURE_DEPENDS capi/*.cpp)
set_source_files_properties(${sources} PROPERTIES UNITY_GROUP capi)
add_library(bytegate_capi OBJECT ${sources})
set_target_properties(bytegate_capi PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
  UNITY_BUILD ON UNITY_BUILD_MODE GROUP INTERPROCEDURAL_OPTIMIZATION OFF)
target_link_libraries(bytegate_capi PRIVATE bytegate_flags)
set(capi_flags --param=uninlined-function-insns=2)  # its functions are its own: they cost no section
target_compile_options(bytegate_capi PRIVATE "$<$<CONFIG:Release>:${BYTEGATE_COLD_FLAGS}>" -fno-lto
  "$<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-fwhole-program;${capi_flags}>")
if(BYTEGATE_PROCESSOR STREQUAL "x86_64" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A forward's arguments would be copied by `rep movs`, which takes 10 ns for each.
  target_compile_options(bytegate_capi PRIVATE -mstringop-strategy=libcall)
endif()

function(bytegate_add_library name type)  # bytegate_add_library(NAME STATIC|SHARED OBJECT...)
  add_library(${name} ${type} ${ARGN} ${BYTEGATE_BACKEND_OBJECTS} $<TARGET_OBJECTS:bytegate_capi>)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:bytegate_cpuinfo> Threads::Threads)
  if(BYTEGATE_SANITIZE)
    target_link_options(${name} PUBLIC -fsanitize=${BYTEGATE_SANITIZE})
  endif()
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

function(bytegate_add_shared_library name exports)  # bytegate_add_shared_library(NAME VERSION_SCRIPT)
  bytegate_add_library(${name} SHARED ${objects})
  # Versions with the same first two numbers are compatible. Linking with -ffast-math would add start-up code that sets
  # flush-to-zero for the whole process.
  set_target_properties(${name} PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINK_DEPENDS ${exports})
  target_link_options(${name} PRIVATE "SHELL:-fno-fast-math -fno-unsafe-math-optimizations"
    LINKER:--version-script=${exports})
endfunction()

if(BYTEGATE_SHARED)
  bytegate_add_shared_library(bytegate ${CMAKE_CURRENT_LIST_DIR}/exports.map)
  # It exports the C interface too.
  add_library(bytegate_c INTERFACE)
  target_include_directories(bytegate_c INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(bytegate_c INTERFACE $<LINK_ONLY:bytegate>)
else()
  set(shipped_objects ${objects})
  if(BYTEGATE_PARTIAL_LINK)
    bytegate_partial_link(shipped_objects bytegate_hot bytegate_cold)
  endif()
  bytegate_add_library(bytegate STATIC ${shipped_objects})
  if(BYTEGATE_C)
    bytegate_add_shared_library(bytegate_c ${PROJECT_SOURCE_DIR}/capi/exports.map)
  endif()
endif()
target_compile_features(bytegate PUBLIC cxx_std_20)
if(BYTEGATE_SHARED OR BYTEGATE_PARTIAL_LINK)
  bytegate_add_library(bytegate_internals STATIC EXCLUDE_FROM_ALL ${objects})
  target_compile_features(bytegate_internals PUBLIC cxx_std_20)
else()
  add_library(bytegate_internals ALIAS bytegate)
endif()
if(BYTEGATE_SHARED)
  add_library(bytegate_static ALIAS bytegate_internals)
else()
  add_library(bytegate_static ALIAS bytegate)
endif()
add_library(bytegate::bytegate ALIAS bytegate)
if(TARGET bytegate_c)
  set_target_properties(bytegate_c PROPERTIES EXPORT_NAME c)
  add_library(bytegate::c ALIAS bytegate_c)
endif()
