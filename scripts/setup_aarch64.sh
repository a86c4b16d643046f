#!/usr/bin/env bash
# Puts the arm64 libraries of a cross-build (cmake/toolchains/aarch64.cmake) into build/aarch64-sysroot and leaves the
# system as it is. The compiler and qemu are ordinary packages: scripts/install_dependencies.sh --test.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/extract_packages.sh arm64 build/aarch64-sysroot \
  libcpuinfo0 libcpuinfo-dev libxsimd-dev libfmt9 libfmt-dev nlohmann-json3-dev libcli11-dev libgtest-dev
