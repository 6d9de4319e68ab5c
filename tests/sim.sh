#!/usr/bin/env bash
# The simulator (tests/sim/main.rs) with every operation on an atomic as a point: steps left out on purpose must be found, one
# seed must make one trace, and then as many seeds as there is time for must pass. A failure prints its seed.
#
#   tests/sim.sh [SECONDS] [FIRST]
#   HAKMEM_SIM_SEED=N tests/sim.sh      that seed again, with what happened last
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTFLAGS="${RUSTFLAGS:-} --cfg hakmem_sim"
cargo=(cargo test --quiet --test sim --target-dir "${CARGO_TARGET_DIR:-target}/sim" --config profile.dev.package.hakmem.opt-level=1)
if [ -z "${HAKMEM_SIM_SEED:-}" ]; then
    "${cargo[@]}" -- --nocapture
fi
export HAKMEM_SIM_SECONDS=${1:-300} HAKMEM_SIM_FIRST=${2:-0}
"${cargo[@]}" -- --ignored --nocapture
