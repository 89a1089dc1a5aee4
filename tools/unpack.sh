#!/bin/sh
# unpack.sh PACKAGE - a Debian package below build/unpacked/PACKAGE, downloaded and not installed; for
# tests that want a program whose installation would change this host (systemd-resolved takes over
# /etc/resolv.conf).  Prints the directory.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$top/build/unpacked/$1

mkdir -p "$top/build/unpacked"
exec 9>"$top/build/unpacked/lock"
flock 9
if [ ! -e "$dir" ]; then
	work=$(mktemp -d "$top/build/unpacked/.new.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && apt-get download -q "$1") >&2
	dpkg-deb -x "$work"/*.deb "$work/root"
	mv "$work/root" "$dir"
fi
echo "$dir"
