#!/usr/bin/env bash
# The malloc tests of other projects, fetched and built for the run, under examples/preload and under the system's
# allocator. Needs git, gcc and the network, or clones given as GLIBC=…, MIMALLOC=…, JEMALLOC=… and RPMALLOC=…; nothing of
# them stays.
#
#   tests/others/run.sh
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$top" && cargo build --quiet --release --example preload) || exit 1
# The loader takes spaces in LD_PRELOAD for the ends of names, but not those in LD_LIBRARY_PATH.
folders=${CARGO_TARGET_DIR:-$top/target}/release/examples${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

fetch() { # name, address, clone if given, folders
    local from=$3
    if [ -z "$from" ]; then
        from=$work/$1.git
        git clone --quiet --bare --depth 1 "$2" "$from" || exit 1
    fi
    mkdir -p "$work/$1"
    git -C "$from" archive HEAD ${@:4} | tar x -C "$work/$1"
    echo "$1 at $(git -C "$from" rev-parse --short HEAD)"
}
fetch glibc https://github.com/bminor/glibc "${GLIBC:-}" malloc
fetch jemalloc https://github.com/jemalloc/jemalloc "${JEMALLOC:-}" test
fetch rpmalloc https://github.com/mjansson/rpmalloc "${RPMALLOC:-}" test
fetch mimalloc https://github.com/microsoft/mimalloc "${MIMALLOC:-}" test include

cp "$top/tests/others/shim/test-skeleton.c" "$work/glibc"
flags=(-std=gnu11 -D_GNU_SOURCE -O1 -w -fno-builtin -pthread -DDEFAULT_TIMEOUT=20 '-D__attribute_noinline__=__attribute__((noinline))'
    '-D__attribute_optimization_barrier__=__attribute__((noinline))'
    -I "$top/tests/others/shim" -I "$work/glibc/malloc")

cd "$work" || exit 1
failed=0
# name, program and arguments: passes where it does under the system's allocator, too.
try() {
    local name=$1; shift
    local before after
    timeout 120 "$@" >/dev/null 2>&1; before=$?
    LD_PRELOAD=libpreload.so LD_LIBRARY_PATH=$folders timeout 120 "$@" >"$work/output" 2>&1; after=$?
    case $before/$after in
        0/0) echo "pass  $name" ;;
        77/*) echo "skip  $name: unsupported" ;;
        0/*) echo "FAIL  $name: $after"; head -3 "$work/output"; failed=1 ;;
        *) echo "skip  $name: fails under the system's, too ($before); here $after" ;;
    esac
}

for test in "$work"/glibc/malloc/tst-*.c; do
    name=$(basename "$test" .c)
    case $name in
        # Of glibc's own insides: its hooks, tunables, tracing, statistics, static linking, obstacks and arrays.
        *-static*|*tunables*|*compathooks*|*mtrace*|*-trace|*-interpose-*|*mallocstate*|*-check|*tcache*|*tcfree*|*safe-linking*|*obstack*|*dynarray*|*scratch_buffer*|*alloc_buffer*|*alternate-path*|*-lib|*malloc-stats*) continue ;;
        # That what was freed comes back first, as glibc's caches have it.
        *memalign-2|*memalign-3) continue ;;
    esac
    if gcc "${flags[@]}" -o "$work/$name" "$test" 2>/dev/null; then
        try "glibc/$name" "$work/$name"
    else
        echo "skip  glibc/$name: not to be built alone"
    fi
done
gcc -O1 -w -DUSE_STD_MALLOC -I "$work/mimalloc/include" -o "$work/stress" "$work/mimalloc/test/test-stress.c" -pthread
try mimalloc/test-stress "$work/stress" 16 30 20

# Of jemalloc's tests, those that ask only for what every malloc has; the others call or configure jemalloc.
for name in aligned_alloc malloc overflow posix_memalign; do
    gcc -std=gnu11 -O1 -w -fno-builtin -pthread -I "$top/tests/others/shim/jemalloc" -I "$work/jemalloc/test/include" \
        -o "$work/je-$name" "$work/jemalloc/test/integration/$name.c" "$work/jemalloc/test/src/test.c" || exit 1
    try "jemalloc/integration/$name" "$work/je-$name"
done
gcc -O1 -w -pthread -I "$top/tests/others/shim/rpmalloc" -I "$work/rpmalloc/test" -o "$work/rp-stress" \
    "$work/rpmalloc/test/stress.c" "$work/rpmalloc/test/thread.c" || exit 1
RPMALLOC_STRESS_SECONDS=20 try rpmalloc/stress "$work/rp-stress"
RPMALLOC_STRESS_SECONDS=20 RPMALLOC_STRESS_ALIGN=1 try rpmalloc/stress-aligned "$work/rp-stress"
exit $failed
