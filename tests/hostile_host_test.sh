#!/usr/bin/env bash
# The library where /proc or /sys is hidden, as in some containers and sandboxes: it loads, prints nothing of its own,
# gives right results on the same backend, and `bytegate info` says the same of the CPU and of every backend. Hiding
# them needs root or user namespaces; exit code 77: not permitted here.
#   hostile_host_test.sh [--info BYTEGATE] SMOKE [EMULATOR...]
# BYTEGATE: the command line program; SMOKE: the program of smoke.cpp
set -uo pipefail
unset BYTEGATE_BACKEND
cli=
if [ "$1" = --info ]; then cli=$2; shift 2; fi
smoke=$1
shift
emulator=("$@")

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
if [ -n "$(hide /proc -- ls /proc)" ] || [ -n "$(hide /sys -- ls /sys)" ]; then
  echo "FAIL: /proc or /sys is not hidden where it should be"
  exit 1
fi

failed=0
# same WHAT EXPECTED COMMAND...: without /proc, /sys and both the command prints the same and succeeds
same() {
  local what=$1 expected=$2 folders text code
  shift 2
  for folders in "/proc" "/sys" "/proc /sys"; do
    # shellcheck disable=SC2086  # two words are two folders
    text=$(hide $folders -- "${emulator[@]}" "$@" 2>&1)
    code=$?
    if [ $code -eq 0 ] && [ "$text" = "$expected" ]; then
      echo "ok   $what without $folders"
    else
      printf 'FAIL %s without %s: exit code %s, output:\n%s\n' "$what" "$folders" $code "$text"
      printf 'expected:\n%s\n' "$expected"
      failed=1
    fi
  done
}

expected=$("${emulator[@]}" "$smoke" 2>&1)
code=$?
if [ $code -ne 0 ] || [[ ! $expected =~ ^[a-z0-9_]+$ ]]; then
  echo "FAIL with /proc and /sys: exit code $code, output: $expected"
  exit 1
fi
same "a product on $expected" "$expected" "$smoke"

if [ -n "$cli" ]; then
  for option in "" --json; do
    # shellcheck disable=SC2086  # no word if empty
    expected=$("${emulator[@]}" "$cli" info $option 2>&1)
    same "info $option" "$expected" "$cli" info $option
  done
fi
exit $failed
