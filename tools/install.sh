#!/bin/sh
# install.sh GROUP... - installs the packages of tools/packages that are missing; as root only.
# Says what it does on standard error; does nothing and says nothing when all are there.
#
# No service of a package is started, now or at the next boot.  Signals end the download; once
# something changes the installation is brought to its end first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
policy=/usr/sbin/policy-rc.d
saved=$policy.before-warren
work=$here/../build/install
log=$work/log
child='' interrupted=0
waits=300 # seconds for another apt or dpkg

die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

# units: the links by which systemd knows which units to start
units() { find /etc/systemd/system -type l 2>/dev/null | sort; }

# ours: the policy that is in force is one of this script's
ours() { grep -qs 'put here by warren' "$policy"; }

# hold_services: from here on packages start no service.  A policy that is there is put aside.
hold_services() {
	echo "$missing" >"$work/names"
	units >"$work/units"
	[ ! -e "$policy" ] || mv "$policy" "$saved"
	printf '#!/bin/sh\n# put here by warren: tools/install.sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

# disable_new: what packages have enabled for the next boot since hold_services is disabled again
disable_new() {
	units | comm -13 "$work/units" - | while read -r link; do
		unit=$(readlink "$link")
		if dpkg-query -L $(cat "$work/names") 2>/dev/null |
			grep -q "/systemd/system/${unit##*/}\$"; then
			rm -f "$link"
			echo "not enabled: ${link##*/}" >&2
		fi
	done
}

# release: undoes what this run, or one that was killed, has changed besides packages
release() {
	[ ! -e "$work/units" ] || disable_new
	! ours || rm -f "$policy"
	[ ! -e "$saved" ] || mv "$saved" "$policy"
	rm -rf "$work"
}

# apt ARG...: apt-get with its output in the log.  It is in the background, because a signal that is
# trapped waits for the end of what is in the foreground.
apt() {
	apt-get -o "DPkg::Lock::Timeout=$waits" "$@" >"$log" 2>&1 &
	child=$!
	wait $child && code=0 || code=$?
	child=''
	return $code
}

# update: gets the package lists; DPkg::Lock::Timeout knows nothing of their lock
update() {
	tries=0
	until apt update; do
		grep -q 'Could not get lock' "$log" && [ $tries -lt $waits ] || return 1
		[ $tries -gt 0 ] || echo 'waiting for another apt' >&2
		tries=$((tries + 1))
		sleep 1
	done
}

finish() {
	code=$?
	trap '' INT TERM HUP
	if [ -n "$child" ]; then
		kill "$child" 2>/dev/null || true
		wait "$child" 2>/dev/null || true
	fi
	release
	exit $code
}

# find_missing GROUP...: sets `missing`
find_missing() {
	missing=''
	for group in "$@" "$(dpkg --print-architecture)"; do
		for p in $(sed -n "s/^$group: //p" "$here/packages"); do
			[ "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" = 'install ok installed' ] ||
				missing="$missing $p"
		done
	done
}

if ! command -v dpkg-query >/dev/null; then
	echo "no dpkg here: make sure that what $here/packages names is installed" >&2
	exit 0
fi
find_missing "$@"
if [ "$(id -u)" != 0 ]; then
	[ -n "$missing" ] || exit 0
	die "not root, and packages are missing; as root: apt-get install$missing"
fi
[ -n "$missing" ] || ours || exit 0

# One at a time, whichever copy of this script it is: two would fight for policy-rc.d.  apt-get
# inherits the lock, so a killed script's installation is still waited for.
exec 9</var/lib/dpkg
if ! flock -n 9; then
	echo 'waiting for another installation' >&2
	flock -w $waits 9 || die "another copy has been installing for $waits s"
fi
trap finish EXIT
trap 'exit 130' INT TERM HUP
release
find_missing "$@"
[ -n "$missing" ] || exit 0
mkdir -p "$work"

echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# Lists of yesterday may do.
update || echo 'apt-get update failed, going on with the package lists that are here' >&2
options='-y --no-install-recommends'
if ! apt install $options --download-only $missing; then
	tail -n 30 "$log" >&2
	die "these packages are not to be had:$missing"
fi
# From here to the end nothing is interrupted: half an installation is worse than a wait.
trap 'interrupted=130' INT TERM HUP
hold_services
setsid apt-get -o "DPkg::Lock::Timeout=$waits" install $options $missing </dev/null >"$log" 2>&1 || {
	tail -n 30 "$log" >&2
	die "these packages could not be installed:$missing"
}
exit $interrupted
