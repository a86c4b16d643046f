# The interpreter that the Python package is built for, and whether it can be: BYTEGATE_PYTHON is on by itself where the
# headers of the interpreter and of pybind11 are there.
if(NOT PROJECT_IS_TOP_LEVEL AND NOT BYTEGATE_PYTHON)  # nothing is looked for, nor left in the other project's cache
  return()
endif()
find_program(BYTEGATE_PYTHON_EXECUTABLE NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH
  DOC "The interpreter that the Python package is built for and installed where it looks")
if(NOT BYTEGATE_PYTHON_EXECUTABLE)
  find_program(BYTEGATE_PYTHON_EXECUTABLE NAMES python3)
endif()
set(BYTEGATE_PYTHON_INCLUDE_DIR "")
set(missing "an interpreter (BYTEGATE_PYTHON_EXECUTABLE)")
if(BYTEGATE_PYTHON_EXECUTABLE AND NOT CMAKE_CROSSCOMPILING)
  execute_process(COMMAND ${BYTEGATE_PYTHON_EXECUTABLE} -c
    "import sysconfig as s
print(s.get_path('include'), s.get_config_var('EXT_SUFFIX'), s.get_path('platlib'), s.get_python_version(), sep='\\n')"
    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed)
    string(REPLACE "\n" ";" answer "${answer}")
    list(GET answer 0 BYTEGATE_PYTHON_INCLUDE_DIR)
    list(GET answer 1 BYTEGATE_PYTHON_SUFFIX)
    list(GET answer 2 platlib)
    list(GET answer 3 python_version)
  endif()
  # pip's pybind11 says itself where its headers are.
  execute_process(COMMAND ${BYTEGATE_PYTHON_EXECUTABLE} -c "import pybind11; print(pybind11.get_include())"
    OUTPUT_VARIABLE pybind11_folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  find_path(BYTEGATE_PYBIND11_INCLUDE_DIR pybind11/pybind11.h HINTS ${pybind11_folder})
  set(missing "")
  if(NOT EXISTS ${BYTEGATE_PYTHON_INCLUDE_DIR}/Python.h)
    string(APPEND missing " Python.h of ${BYTEGATE_PYTHON_EXECUTABLE} (Debian: python3-dev)")
  endif()
  if(NOT BYTEGATE_PYBIND11_INCLUDE_DIR)
    string(APPEND missing " pybind11/pybind11.h (Debian: pybind11-dev)")
  endif()
endif()
set(by_default OFF)
if(PROJECT_IS_TOP_LEVEL AND missing STREQUAL "" AND NOT BYTEGATE_SANITIZE)  # the interpreter is built without
  set(by_default ON)
endif()
option(BYTEGATE_PYTHON "Build the Python package" ${by_default})
if(BYTEGATE_PYTHON AND NOT missing STREQUAL "")
  message(FATAL_ERROR "BYTEGATE_PYTHON needs what was not found: ${missing}")
elseif(NOT BYTEGATE_PYTHON AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CROSSCOMPILING)
  message(STATUS "bytegate: no Python package: ${missing}")
endif()

# Below the prefix, as everything that is installed, so that a tree can be moved.
if(BYTEGATE_PYTHON)
  cmake_path(IS_PREFIX CMAKE_INSTALL_PREFIX "${platlib}" NORMALIZE below)
  if(below)
    cmake_path(RELATIVE_PATH platlib BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
  else()
    cmake_path(GET platlib FILENAME folder)
    set(platlib lib/python${python_version}/${folder})
  endif()
  set(BYTEGATE_PYTHON_INSTALL_DIR ${platlib} CACHE STRING "Where the Python package is installed, below the prefix")
endif()
