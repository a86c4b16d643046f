#!/usr/bin/env bash
# Configuring for a processor that the library is not for ends with a sentence. Needs clang++, which compiles for any
# processor; exit code 77: it is not there.
#   refused_targets_test.sh CMAKE SOURCE_DIR WORK_DIR
set -uo pipefail
cmake=$1 source=$2 work=$3
clang=$(command -v clang++) || { echo "no clang++"; exit 77; }
sentence="bytegate is for 64-bit little-endian x86-64 and Arm"
failed=0
targets=(i686-linux-gnu x86_64-linux-gnux32 armv7-linux-gnueabihf aarch64_be-linux-gnu powerpc64le-linux-gnu
  s390x-linux-gnu)
for target in "${targets[@]}"; do
  rm -rf "$work"
  # Nothing is linked, so that no library of the target is needed.
  if text=$("$cmake" -S "$source" -B "$work" -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_CXX_COMPILER_TARGET="$target" \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="${target%%-*}" \
    -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY 2>&1); then
    echo "FAIL $target: configured"
    failed=1
  elif tr -s ' \n' ' ' <<<"$text" | grep -qF "$sentence"; then  # CMake wraps its messages
    echo "ok   $target"
  else
    echo "FAIL $target: $text"
    failed=1
  fi
done
exit $failed
