# Builds for 64-bit Arm Linux on another machine, against the libraries that scripts/setup_aarch64.sh has put into
# build/aarch64-sysroot, and runs what is built under qemu. The environment variable QEMU_CPU names the CPU that qemu
# shows.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

# clang: -DCMAKE_CXX_COMPILER=clang++; it takes libraries and linker of the cross g++.
if(NOT CMAKE_CXX_COMPILER)
  set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
endif()
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
# Of the tests of the C interface.
if(NOT CMAKE_C_COMPILER)
  set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
endif()
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)

set(BYTEGATE_AARCH64_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../../build/aarch64-sysroot
  CACHE PATH "Libraries of the other machine")
cmake_path(ABSOLUTE_PATH BYTEGATE_AARCH64_SYSROOT NORMALIZE)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BYTEGATE_AARCH64_SYSROOT)
set(CMAKE_FIND_ROOT_PATH ${BYTEGATE_AARCH64_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu)
