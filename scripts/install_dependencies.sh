#!/usr/bin/env bash
# Installs the Debian 12 packages that are missing; where none is, it does nothing and needs no network.
#   scripts/install_dependencies.sh          what the release build needs
#   scripts/install_dependencies.sh --test   and what scripts/test.sh needs: clang, a cross-compiler, emulators
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libcpuinfo-dev libxsimd-dev libcli11-dev libfmt-dev nlohmann-json3-dev
  libgtest-dev libbenchmark-dev pybind11-dev python3-dev python3-numpy)
case "${1:-}" in
  "") ;;
  --test)
    packages+=(clang clang-format g++-aarch64-linux-gnu qemu-user-static python3 python3-onnx python3-torch
      python3-matplotlib python3-nbconvert python3-ipykernel jupyter-nbconvert valgrind)
    [ "$(uname -m)" != x86_64 ] || packages+=(bochs bochs-term bochsbios vgabios cpio xorriso bsdutils)
    ;;
  *) echo "usage: $0 [--test]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=missing
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

run=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  run=(sudo -n "${run[@]}")  # fails rather than ask for a password
fi
echo "Installing ${missing[*]}"
"${run[@]}" apt-get update -qq
"${run[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null
