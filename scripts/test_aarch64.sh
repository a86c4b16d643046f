#!/usr/bin/env bash
# The tests on 64-bit Arm CPUs that this machine is not: a cross-build, run under qemu as CPUs that choose each of the
# Arm backends.
#   scripts/test_aarch64.sh [PRESET]       PRESET: aarch64 (g++, the default), aarch64-clang or aarch64-asan
# On an Arm machine there is nothing to emulate: the ordinary presets test all it can run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/backend_table.sh
exec </dev/null
preset=${1:-aarch64}
if [ "$(uname -m)" = aarch64 ]; then
  echo "this is an Arm machine: its own backends are tested by the other presets"
  exit 0
fi

scripts/setup_aarch64.sh
log=build/$preset.configure.log
cmake --preset "$preset" -DBYTEGATE_WERROR=ON >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build --preset "$preset" -j 2 -- --quiet

export BYTEGATE_TEST_SIZE=small  # everything is tens of times slower here
export ASAN_OPTIONS=detect_leaks=0  # qemu has no ptrace
failed=0
smoke=(qemu-aarch64-static -L /usr/aarch64-linux-gnu "build/$preset/tests/smoke")

# cpu CPU "SUPPORTED BACKENDS, BEST FIRST" TESTS: which backend is chosen there, that a backend which the CPU cannot
# run is an error and no illegal instruction, and the tests whose names match the pattern.
cpu() {
  local cpu=$1 supported=$2 chosen backend code
  export QEMU_CPU=$cpu
  chosen=$(env -u BYTEGATE_BACKEND "${smoke[@]}" 2>&1) || true
  if [ "$chosen" != "${supported%% *}" ]; then echo "FAIL $cpu: chose '$chosen', not ${supported%% *}"; failed=1; fi
  for backend in $supported; do
    if [ "$(BYTEGATE_BACKEND=$backend "${smoke[@]}" 2>&1)" != "$backend" ]; then
      echo "FAIL $cpu: does not run $backend"
      failed=1
    fi
  done
  for backend in $all; do
    [[ " $supported " != *" $backend "* ]] || continue
    code=0
    BYTEGATE_BACKEND=$backend "${smoke[@]}" >/dev/null 2>&1 || code=$?
    if [ $code -ne 3 ]; then echo "FAIL $cpu: $backend, which it cannot run, ends with exit code $code"; failed=1; fi
  done
  echo "=== $cpu: chose $chosen"
  # The command line's own tests and the targets that are refused are no matter of the CPU.
  local others='^(cli_test|cli_state_dict_test|refused_targets_test|objects_test|torch_to_safetensors_test)$'
  BYTEGATE_REQUIRED_BACKENDS=${supported// /,} ctest --preset "$preset" -j 2 --no-tests=error -R "$3" \
    -LE '^consumers$' -E "$others" || failed=1
}

# Everything on the CPU that runs every backend, which comes first: a test that takes a backend takes each of them
# there. The CPUs that choose another by themselves get the tests of numbers and of the choice.
all=$(backends_of aarch64)
tests=.
for best in $all; do
  for cpu in $(backend_line "$best" qemu_cpus_aarch64); do
    cpu "$cpu" "$(supported_with aarch64 "$(needs "$best")")" "$tests"
    tests='^(smoke|digest|torch_conformance|dispatch_test|gemm_test|bits_test|quantize_test|recurrent_test)$'
  done
done
exit $failed
