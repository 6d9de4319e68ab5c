#!/usr/bin/env bash
# C programs of tests/malloc/surroundings on the preloaded library (examples/preload) under valgrind. Needs valgrind and a C
# compiler.
#
#   tests/valgrind.sh [TOOL:PROGRAM …]      without: those below
#
# By itself valgrind replaces every `malloc` that it sees, the preloaded one as well: `nouserintercepts` keeps it. helgrind knows
# the locks of POSIX threads alone and not the allocator's, so what it says of the library's own functions is left out
# (tests/tsan.sh has their races).
set -euo pipefail
cd "$(dirname "$0")/.."

runs=("$@")
# Others work for minutes of a processor; fork_and_streams fails so on the C library's allocator, too; small_stack looks at
# stacks on purpose.
[ $# -gt 0 ] || runs=(memcheck:{early,mmap_allocates,signal_between,threads_end,vfork} helgrind:{early,small_stack})

cargo build --quiet --release --example preload
target=${CARGO_TARGET_DIR:-target}
library=$(realpath "$target/release/examples/libpreload.so")
work=$target/valgrind
mkdir -p "$work"
printf '{\n   own\n   Helgrind:Race\n   obj:*/libpreload.so\n}\n{\n   called\n   Helgrind:Race\n   obj:*/libc.so.6\n   obj:*/libpreload.so\n}\n' \
    >"$work/own"

status=0
for run in "${runs[@]}"; do
    tool=${run%%:*} program=${run#*:}
    report=$work/$program.$tool
    cc -g -O1 -fno-builtin -pthread -o "$work/$program" "tests/malloc/surroundings/$program.c"
    options=(--tool="$tool" --soname-synonyms=somalloc=nouserintercepts --log-file="$report" --error-exitcode=99)
    [ "$tool" != helgrind ] || options+=(--suppressions="$work/own")
    code=0
    timeout --signal=KILL 300 env LD_PRELOAD="$library" valgrind "${options[@]}" "$work/$program" "$library" >/dev/null || code=$?
    errors=$(sed -n 's/.*ERROR SUMMARY: \([0-9]*\) errors.*/\1/p' "$report" | sort -n | tail -1)
    echo "valgrind: $program under $tool: ended with $code, ${errors:-no} reports"
    [ "$code" = 0 ] || status=1
done
exit $status
