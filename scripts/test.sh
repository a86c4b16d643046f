#!/usr/bin/env bash
# Everything that must hold, from a fresh clone: g++ and clang++ with warnings as errors, sanitizers, emulated CPUs,
# and, last, the tests of the release build. Every stage runs, whatever the ones before it did; the exit code is 0 if
# all of them passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
exec </dev/null

failed=()
stage() {  # stage NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  if "$@"; then
    echo "=== $name: passed, $((SECONDS - start)) s"
  else
    echo "=== $name: FAILED, $((SECONDS - start)) s"
    failed+=("$name")
  fi
}

configure() {  # configure PRESET [-DNAME=VALUE...]
  local log=build/$1.configure.log
  cmake --preset "$1" -DBYTEGATE_WERROR=ON "${@:2}" >"$log" 2>&1 || { cat "$log"; return 1; }
}

build() {  # build PRESET [TARGET...]
  local targets=()
  [ $# -eq 1 ] || targets=(--target "${@:2}")
  cmake --build --preset "$1" -j 2 "${targets[@]}" -- --quiet
}

run_tests() {  # run_tests PRESET [CTEST-OPTIONS...]
  local code=0
  ctest --preset "$1" -j 2 --no-tests=error "${@:2}" | tee "build/$1.tests.log" || code=$?
  note_skipped "$1"
  return $code
}

# A test that could not run on this machine is a line of ctest's that is easily missed: all of them are told at the end.
note_skipped() {  # note_skipped PRESET
  sed -nE "s/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .*\*\*\*Skipped.*/\1 ($1)/p" "build/$1.tests.log" \
    >>build/skipped.txt
}

only() {  # only NAME...: a pattern of just these tests
  local IFS='|'
  echo "^($*)\$"
}

gxx() { configure release && build release; }
# The other compiler: the command line and examples, and the tests that compare the numbers of its kernels.
clangxx() {
  local tests=(torch_conformance digest gemm_test bits_test quantize_test activations_test capi_hostile_static)
  configure clang -DBYTEGATE_BENCH=OFF &&
    build clang bytegate_cli demo_model silero_vad dtln_mask custom_backend instructions_forward "${tests[@]}" &&
    run_tests clang -R "$(only instructions_test "${tests[@]}")"
}
# What reads files that anybody may have made, and what touches memory. (g++ warns of its own instrumentation, so
# warnings are no errors here.)
asan() {
  local tests=(safetensors_test safetensors_bad_files_test safetensors_damage_test model_load_test model_file_test
    recognize_test sequential_test bad_calls_test odd_values_test gemm_test rows_test bits_test bounds_test
    capi_hostile_static)
  configure asan -DBYTEGATE_WERROR=OFF -DBYTEGATE_BENCH=OFF -DBYTEGATE_TOOLS=OFF && build asan "${tests[@]}" &&
    BYTEGATE_TEST_SIZE=small run_tests asan -R "$(only "${tests[@]}")"
}
# What shares a model between threads.
tsan() {
  local tests=(threads_test num_threads_test load_threads_test capi_threads_static)
  configure tsan -DBYTEGATE_WERROR=OFF -DBYTEGATE_BENCH=OFF -DBYTEGATE_TOOLS=OFF && build tsan "${tests[@]}" &&
    BYTEGATE_TEST_SIZE=small run_tests tsan -R "$(only "${tests[@]}")"
}

aarch64() {
  local code=0
  scripts/test_aarch64.sh | tee build/aarch64.tests.log || code=$?
  note_skipped aarch64
  return $code
}

# An emulated CPU with AVX-512: it takes minutes of one core, beside the other stages.
begin_avx512() {
  scripts/test_avx512.sh >build/test_avx512.log 2>&1 &
  avx512=$!
}
end_avx512() {
  local code=0
  wait "$avx512" || code=$?
  cat build/test_avx512.log
  return $code
}

# A test skips a backend that the CPU cannot run; of these, which it can run going by what the kernel says, none may
# be skipped.
BYTEGATE_REQUIRED_BACKENDS=$(scripts/backends_of_this_cpu.sh --with-stand-ins | paste -sd,)
export BYTEGATE_REQUIRED_BACKENDS

stage dependencies scripts/install_dependencies.sh --test
mkdir -p build
: >build/skipped.txt
stage "g++ build" gxx
begin_avx512
stage "clang++" clangxx
stage "AddressSanitizer and UBSan" asan
stage "ThreadSanitizer" tsan
stage "64-bit Arm" aarch64
stage "AVX-512, begun after the g++ build" end_avx512
for name in "${failed[@]}"; do echo "=== FAILED before the release tests: $name"; done
echo "=== release tests, after $SECONDS s"
run_tests release || failed+=("release tests")
if [ -s build/skipped.txt ]; then
  echo "=== tests that could not run on this machine and were skipped:"
  sort build/skipped.txt | uniq -c
else
  echo "=== no test was skipped"
fi
[ ${#failed[@]} -eq 0 ]
