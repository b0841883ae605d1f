#!/usr/bin/env bash
# Runs the test tiers named, all of them even when one fails, and ends with a line on each. A tier counts as run only
# when nextest's own closing line is in its output: a target that does nothing is no pass.
set -uo pipefail
cd "$(dirname "$0")/../.."
logs=target/tiers
rm -rf "$logs" && mkdir -p "$logs"
failed=0 report=()
for tier in "$@"; do
    started=$SECONDS
    make "test-$tier" 2>&1 | tee "$logs/$tier.log"
    status=${PIPESTATUS[0]}
    closing=$(sed -e 's/\x1b\[[0-9;]*m//g' "$logs/$tier.log" | grep -E '^ *Summary \[' | tail -n 1 | sed 's/^ *//')
    if [ "$status" -ne 0 ]; then
        verdict=FAILED failed=1
    elif [ -z "$closing" ] || [[ $closing =~ \]\ +0\ tests ]]; then
        verdict="DID NOT RUN" failed=1
    else
        verdict=passed
    fi
    report+=("$(printf '%-10s %-12s %4d s   %s' "$tier" "$verdict" $((SECONDS - started)) "$closing")")
done
printf '\nTiers:\n'
printf '  %s\n' "${report[@]}"
exit "$failed"
