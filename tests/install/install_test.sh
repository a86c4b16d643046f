#!/usr/bin/env bash
# Installs the build in a folder of its own and builds a program against what is there: by find_package and by pkg-config.
#   install_test.sh CMAKE BUILD_DIR CXX
set -euo pipefail
cmake=$1 build=$2 cxx=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$build/install_test
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work"

"$cmake" --install "$build" --prefix "$prefix"
"$prefix/bin/bytegate" --version

"$cmake" -S "$here" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release
"$cmake" --build "$work/consumer"
"$work/consumer/consumer" "$work/find_package.safetensors"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name bytegate.pc)")
export PKG_CONFIG_PATH
read -ra flags <<<"$(pkg-config --cflags --libs bytegate)"
"$cxx" -std=c++20 -O1 "$here/consumer.cpp" -o "$work/pkg_config_consumer" "${flags[@]}"
"$work/pkg_config_consumer" "$work/pkg_config.safetensors"
cmp "$work/find_package.safetensors" "$work/pkg_config.safetensors"
