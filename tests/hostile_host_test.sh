#!/usr/bin/env bash
# The library where /proc or /sys is hidden, as in some containers and sandboxes: it loads, says nothing, and gives
# right results on the same backend. Hiding them needs root or user namespaces; 77: not permitted here.
#   hostile_host_test.sh SMOKE [EMULATOR...]     SMOKE: the program of smoke.cpp
set -uo pipefail
smoke=$1
shift
unset BYTEGATE_BACKEND
hide() {  # hide FOLDER... -- COMMAND...
  local script=""
  while [ "$1" != -- ]; do script+="mount -t tmpfs none $1 && "; shift; done
  shift
  unshare "${namespaces[@]}" sh -c "$script exec \"\$@\"" sh "$@"
}
namespaces=(--mount)
hide /mnt -- true 2>/dev/null || namespaces=(--mount --map-root-user)
if ! hide /mnt -- true 2>/dev/null; then
  echo "no permission to mount in a namespace"
  exit 77
fi

expected=$("$@" "$smoke" 2>&1)
code=$?
if [ $code -ne 0 ] || [[ ! $expected =~ ^[a-z0-9_]+$ ]]; then
  echo "FAIL with /proc and /sys: exit code $code, output: $expected"
  exit 1
fi
failed=0
for folders in "/proc" "/sys" "/proc /sys"; do
  text=$(hide $folders -- "$@" "$smoke" 2>&1)
  code=$?
  if [ $code -eq 0 ] && [ "$text" = "$expected" ]; then
    echo "ok   without $folders: $text"
  else
    echo "FAIL without $folders: exit code $code, output: $text, expected $expected"
    failed=1
  fi
done
exit $failed
