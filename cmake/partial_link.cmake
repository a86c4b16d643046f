# bytegate_partial_link(RESULT TARGET...): the objects of these object libraries as one, made by a partial link, whose
# hidden symbols are local and whose functions of templates and classes have no sections of their own. The option
# BYTEGATE_PARTIAL_LINK says whether the static library is made so; docs/decisions/0006-small-where-it-is-not-hot.md
# says why.
set(script ${CMAKE_CURRENT_LIST_DIR}/partial_link.ld)

# Whether this linker and objcopy can, tried on what this compiler makes.
function(bytegate_try_partial_link result)
  set(folder ${PROJECT_BINARY_DIR}/CMakeFiles/bytegate_partial_link)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  try_compile(compiles SOURCE_FROM_CONTENT probe.cpp "template <class T> T twice(T x) { return x + x; }
__attribute__((visibility(\"hidden\"))) int hidden(int x) { return twice(x); }
int shown(int x) { return hidden(x); }\n" COMPILE_DEFINITIONS -fno-lto COPY_FILE ${folder}/probe.a)
  set(answer 1)
  if(compiles AND CMAKE_LINKER AND CMAKE_OBJCOPY)
    execute_process(RESULT_VARIABLE answer OUTPUT_QUIET ERROR_QUIET COMMAND
      ${CMAKE_LINKER} -r --force-group-allocation -T ${script} --whole-archive ${folder}/probe.a -o ${folder}/probe.o)
    if(answer EQUAL 0)
      execute_process(RESULT_VARIABLE answer OUTPUT_QUIET ERROR_QUIET COMMAND
        ${CMAKE_OBJCOPY} --localize-hidden ${folder}/probe.o)
    endif()
  endif()
  if(answer EQUAL 0)
    set(${result} ON PARENT_SCOPE)
  else()
    set(${result} OFF PARENT_SCOPE)
  endif()
endfunction()

if(NOT DEFINED CACHE{BYTEGATE_PARTIAL_LINK})
  set(by_default OFF)
  if(NOT BYTEGATE_SHARED AND NOT BYTEGATE_SANITIZE)
    bytegate_try_partial_link(by_default)
  endif()
  option(BYTEGATE_PARTIAL_LINK "Join the objects of the static library that are not kernels" ${by_default})
endif()

function(bytegate_partial_link result)
  set(objects)
  foreach(target IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set(folder ${PROJECT_BINARY_DIR}/CMakeFiles/bytegate_partial_link/$<CONFIG>)
  set(joined ${folder}/bytegate${CMAKE_CXX_OUTPUT_EXTENSION})
  add_custom_command(OUTPUT ${joined} DEPENDS ${ARGN} ${objects} ${script} COMMAND_EXPAND_LISTS VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${CMAKE_LINKER} -r --force-group-allocation -T ${script} ${objects} -o ${joined}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${joined}
    COMMENT "Joining the objects of bytegate")
  set(${result} ${joined} PARENT_SCOPE)
endfunction()
