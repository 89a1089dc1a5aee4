#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS - runs every fuzz target for SECONDS on a copy of its corpus; prints a record
# for tests/tally.py, everything else on standard error.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
seconds=$2
passed=0 failed=0 names=
child=
trap '[ -z "$child" ] || kill $child 2>/dev/null; exit 130' INT TERM HUP

# fuzz NAME: succeeds when nothing was found
fuzz() {
	local log=$build/fuzz-$1.log work=$build/corpus/$1
	mkdir -p "$work"
	# New inputs go to the first directory; those of the tree are only read.  Entropic scheduling
	# costs more than a run where a run has thousands of features.
	"$build/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=20 -entropic=0 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/crash-$1-" \
		"$work" "$top/fuzz/corpus/$1" >"$log" 2>&1 &
	child=$!
	wait $child || { tail -n 40 "$log" >&2; return 1; }
	echo "fuzz $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs" >&2
}

for bin in "$build"/fuzz/fuzz_*; do
	[ -x "$bin" ] && [ -f "$bin" ] || continue
	if fuzz "${bin##*/fuzz_}"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		names+="- ${bin##*/} (${build##*/}/fuzz-${bin##*/fuzz_}.log)"$'\n'
	fi
done
printf '%d %d 0\n%s' $passed $failed "$names"
[ $passed -gt 0 ]
