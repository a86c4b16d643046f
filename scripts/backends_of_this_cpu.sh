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
  elif [ "${1:-}" = --with-stand-ins ]; then
    stand_in_with "$name" "$flags" || true
  fi
done
