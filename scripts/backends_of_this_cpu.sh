#!/usr/bin/env bash
# Prints the backends that this CPU must be able to run, one a line, best first, from what the kernel says in
# /proc/cpuinfo and not from the library.
#   --with-stand-ins   and those by which tests run others (tests/support/stand_ins.cpp)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/backend_table.sh
flags=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | cut -d: -f2-)
names=$(backends_of "$(uname -m)")
for name in $names; do
  needed=$(needs "$name")
  if has "$flags" "$needed"; then
    echo "$name"
  elif [ "${1:-}" = --with-stand-ins ] && stand_in=$(backend_line "$name" stand_in); then
    needed=$(backend_line "$name" stand_in_flags)
    if has "$flags" "$needed"; then echo "$stand_in"; fi
  fi
done
