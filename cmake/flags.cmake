# bytegate_flags: what every file of the library, its tests and its tools is compiled with.
#
# Outputs must be the same bits whatever a surrounding project compiles with. These options are the last of a command
# line, so they win over the project's -ffast-math, -Ofast and the like. SHELL: keeps them together, because CMake would
# otherwise drop an option that the project has given already, further in front.
string(JOIN " " float_flags -fno-fast-math -fno-associative-math -fno-reciprocal-math -fno-finite-math-only
  -fsigned-zeros -ffp-contract=off)
if(BYTEGATE_PROCESSOR STREQUAL "x86_64")
  string(APPEND float_flags " -mfpmath=sse")
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  string(APPEND float_flags " -fno-approx-func -fdenormal-fp-math=ieee"
    " -Wno-overriding-t-option -Wno-unknown-warning-option")
else()
  # Not for clang, which then compiles for programs that trap: the kernels execute 4 % more instructions.
  string(APPEND float_flags " -fno-unsafe-math-optimizations -fno-single-precision-constant")
endif()

add_library(bytegate_flags INTERFACE)
# A -Werror that is meant for the surrounding project's files is none for these.
target_compile_options(bytegate_flags INTERFACE "SHELL:${float_flags} -fexceptions -frtti"
  $<IF:$<BOOL:${PROJECT_IS_TOP_LEVEL}>,-Wall;-Wextra;-Wconversion;-Wshadow,-Wno-error>
  $<$<BOOL:${BYTEGATE_WERROR}>:-Werror>)
target_include_directories(bytegate_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include ${PROJECT_SOURCE_DIR})
if(BYTEGATE_SANITIZE)
  target_compile_options(bytegate_flags INTERFACE
    -fsanitize=${BYTEGATE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
endif()
