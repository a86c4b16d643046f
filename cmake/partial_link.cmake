# bytegate_partial_link(RESULT TARGET...): the objects of these object libraries as one, made by a partial link, whose
# hidden symbols are local and whose functions of templates and classes have no sections of their own. The option
# BYTEGATE_PARTIAL_LINK says whether the static library is made so; docs/decisions/0006-small-where-it-is-not-hot.md
# says why.
set(partial_link_script ${CMAKE_CURRENT_LIST_DIR}/partial_link.ld)
set(partial_link_flags -r --force-group-allocation -T ${partial_link_script})
set(partial_link_folder ${PROJECT_BINARY_DIR}/CMakeFiles/bytegate_partial_link)

# Whether a linker, and objcopy, can: tried on what this compiler makes.
function(bytegate_can_link_partially result linker)
  set(${result} OFF PARENT_SCOPE)
  execute_process(RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET WORKING_DIRECTORY ${partial_link_folder} COMMAND
    ${linker} ${partial_link_flags} --whole-archive probe.a -o probe.o)
  if(NOT failed)
    execute_process(RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET WORKING_DIRECTORY ${partial_link_folder} COMMAND
      ${CMAKE_OBJCOPY} --localize-hidden probe.o)
  endif()
  if(NOT failed)
    set(${result} ON PARENT_SCOPE)
  endif()
endfunction()

function(bytegate_find_partial_linker)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  try_compile(compiles SOURCE_FROM_CONTENT probe.cpp "template <class T> T twice(T x) { return x + x; }
__attribute__((visibility(\"hidden\"))) int hidden(int x) { return twice(x); }
int shown(int x) { return hidden(x); }\n" COMPILE_DEFINITIONS -fno-lto COPY_FILE ${partial_link_folder}/probe.a)
  if(compiles AND CMAKE_OBJCOPY)
    find_program(BYTEGATE_PARTIAL_LINKER NAMES ${CMAKE_LINKER} ${CMAKE_LIBRARY_ARCHITECTURE}-ld ld.bfd ld
      VALIDATOR bytegate_can_link_partially DOC "A linker that knows -r --force-group-allocation: GNU ld")
  endif()
endfunction()

if(NOT BYTEGATE_SHARED AND NOT BYTEGATE_PARTIAL_LINKER)
  bytegate_find_partial_linker()
endif()
set(by_default OFF)
if(BYTEGATE_PARTIAL_LINKER AND NOT BYTEGATE_SANITIZE)
  set(by_default ON)
endif()
option(BYTEGATE_PARTIAL_LINK "Join the objects of the static library that are not kernels" ${by_default})
if(BYTEGATE_PARTIAL_LINK AND NOT BYTEGATE_SHARED AND NOT BYTEGATE_PARTIAL_LINKER)
  message(FATAL_ERROR "BYTEGATE_PARTIAL_LINK needs a linker that knows -r --force-group-allocation, such as GNU ld, "
    "and objcopy: set BYTEGATE_PARTIAL_LINKER and CMAKE_OBJCOPY, or BYTEGATE_PARTIAL_LINK to OFF.")
endif()

function(bytegate_partial_link result)
  set(objects)
  foreach(target IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set(joined ${partial_link_folder}/$<CONFIG>/bytegate${CMAKE_CXX_OUTPUT_EXTENSION})
  add_custom_command(OUTPUT ${joined} DEPENDS ${ARGN} ${objects} ${partial_link_script} COMMAND_EXPAND_LISTS VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${partial_link_folder}/$<CONFIG>
    COMMAND ${BYTEGATE_PARTIAL_LINKER} ${partial_link_flags} ${objects} -o ${joined}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${joined}
    COMMENT "Joining the objects of bytegate")
  set(${result} ${joined} PARENT_SCOPE)
endfunction()
