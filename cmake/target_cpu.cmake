# Sets BYTEGATE_PROCESSOR. The compiler, not the host, says what is built for.
include(CheckCXXSourceCompiles)
if(MSVC)
  message(FATAL_ERROR "bytegate is built by g++ or clang++, for Linux; Microsoft's compiler, and clang-cl in its "
    "place, are not supported.")
endif()
set(CMAKE_REQUIRED_QUIET ON)
check_cxx_source_compiles("#if !defined(__x86_64__) || defined(__ILP32__)\n#error\n#endif\nint main() {}"
  BYTEGATE_IS_X86_64)
check_cxx_source_compiles(
  "#if !defined(__aarch64__) || defined(__ILP32__) || defined(__AARCH64EB__)\n#error\n#endif\nint main() {}"
  BYTEGATE_IS_AARCH64)
unset(CMAKE_REQUIRED_QUIET)
if(BYTEGATE_IS_X86_64)
  set(BYTEGATE_PROCESSOR x86_64)
elseif(BYTEGATE_IS_AARCH64)
  set(BYTEGATE_PROCESSOR aarch64)
else()
  message(FATAL_ERROR "bytegate is for 64-bit little-endian x86-64 and Arm (aarch64); this compiler targets "
    "${CMAKE_SYSTEM_PROCESSOR}, or a 32-bit or big-endian form of them.")
endif()
