#!/usr/bin/env bash
# Prints the backends that this CPU must be able to run, one a line, from what the kernel says and not from the library.
#   --with-stand-ins   and those by which tests run others (tests/support/stand_ins.cpp)
set -euo pipefail
flags=" $(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2-) "
has() {
  local flag
  for flag in "$@"; do [[ $flags == *" $flag "* ]] || return 1; done
}
echo scalar
if has avx2 fma; then echo avx2; fi
if has avx2 fma avx_vnni; then echo avxvnni; elif has avx2 fma && [ "${1:-}" = --with-stand-ins ]; then echo avxvnni_trapped; fi
if has avx512f avx512bw avx512dq avx512vl avx512_vnni; then echo avx512vnni; fi
if has asimd; then echo neon; fi
if has asimd asimddp; then echo neondot; fi
if has asimd asimddp i8mm; then echo neoni8mm; fi
