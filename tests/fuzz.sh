#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS - runs every fuzz target for SECONDS on a copy of its corpus; prints
# "passed failed skipped" for the tally, everything else on standard error.
set -eu
build=$1 seconds=$2
here=$(cd "$(dirname "$0")/.." && pwd)
passed=0 failed=0
for bin in "$build"/fuzz/fuzz_*; do
	[ -x "$bin" ] && [ -f "$bin" ] || continue
	name=${bin##*/fuzz_}
	work=$build/corpus/$name
	mkdir -p "$work"
	if "$bin" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/crash-$name-" "$work" "$here/fuzz/corpus/$name" \
		>"$build/fuzz-$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "fuzz $name: $(grep -c . "$build/fuzz-$name.log") lines, $(sed -n \
			's/^stat::number_of_executed_units: *//p' "$build/fuzz-$name.log") runs" >&2
	else
		failed=$((failed + 1))
		tail -n 40 "$build/fuzz-$name.log" >&2
	fi
done
echo "$passed $failed 0"
