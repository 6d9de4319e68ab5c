#!/usr/bin/env bash
# Each fuzz target for so many seconds, from the committed corpus. Needs a nightly toolchain and cargo-fuzz
# (`cargo install --locked cargo-fuzz`). What it finds is in target/fuzz/artifacts, and becomes a test.
#
#   tests/fuzz.sh [SECONDS] [TARGET …]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(spec operations profile)
work=$PWD/${CARGO_TARGET_DIR:-target}/fuzz
for target in "${targets[@]}"; do
    mkdir -p "$work/corpus/$target" "$work/artifacts/$target"
    # No sanitizer: it would replace the allocator's neighbours, and what is looked for are broken promises.
    cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir "$work/build" --sanitizer none --debug-assertions "$target" \
        "$work/corpus/$target" "tests/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="$work/artifacts/$target/" \
        -print_final_stats=1 -verbosity=0
done
