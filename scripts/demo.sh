#!/usr/bin/env bash
# From a fresh clone to a quantized language model: installs what is missing, builds, runs examples/demo_model.
# Arguments go to the demo: scripts/demo.sh --model DIR --prompt "TEXT" --chars N
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
"$source/scripts/install_dependencies.sh"
(
  cd "$source"
  cmake --preset release >/dev/null
  cmake --build --preset release --target demo_model bytegate_cli
) >&2
exec "$source/build/release/examples/demo_model" "$@"
