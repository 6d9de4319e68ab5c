#!/usr/bin/env bash
# Mutants of one file after the other, against the tests of its own crate; of the runtime, against its unit tests. Needs cargo-mutants (`cargo install --locked
# cargo-mutants`). What no test catches is listed in target/mutants/mutants.out/missed.txt.
#
#   tests/mutants.sh [FILE …]      without: the plan of hakmem-spec
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- hakmem-spec/src/plan.rs
work=${CARGO_TARGET_DIR:-target}/mutants
mkdir -p "$work"
for file in "$@"; do
    # The models in hakmem-runtime/tests are of protocols, and take a minute.
    tests=(--lib --tests)
    [ "${file%%/*}" != hakmem-runtime ] || tests=(--lib)
    cargo mutants --output "$work" --jobs 1 --timeout 60 --colors never --package "${file%%/*}" --file "$file" \
        -- "${tests[@]}"
done
