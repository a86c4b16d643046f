#!/usr/bin/env bash
# extract_packages.sh ARCHITECTURE FOLDER PACKAGE...
# Unpacks Debian packages of any architecture into a folder. They come from the system's own package sources, by an apt
# configuration and a package database that live in that folder: the system, its architectures and its packages stay
# as they are, and root is not needed. Where the folder holds these packages already it does nothing and needs no
# network.
set -euo pipefail
exec </dev/null
architecture=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
shift 2
wanted="$architecture $*"
[ "$(cat "$folder/.packages" 2>/dev/null)" = "$wanted" ] && exit 0

rm -rf "$folder"
apt=$folder/.apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/downloads"
: >"$apt/status"
cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
export APT_CONFIG=$apt/apt.conf
# A source that has nothing for this architecture makes the update complain; what matters is whether the downloads work.
apt-get update -qq >"$apt/update.log" 2>&1 || true
if ! (cd "$apt/downloads" && apt-get download -qq "$@") >"$apt/download.log" 2>&1; then
  echo "cannot download $* for $architecture:" >&2
  cat "$apt/update.log" "$apt/download.log" >&2
  exit 1
fi
for package in "$apt"/downloads/*.deb; do dpkg-deb -x "$package" "$folder"; done
rm -rf "$apt"
echo "$wanted" >"$folder/.packages"
