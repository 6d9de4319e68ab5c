#!/usr/bin/env bash
# The thread tests under ThreadSanitizer, with std built for it, and a control: a stack whose atomics order nothing must be
# reported. Needs a nightly toolchain with rust-src.
#
#   tests/tsan.sh [TEST …]      filters of tests/allocator; without: those below
#
# Nothing is suppressed. The lock of a thread's large blocks (meta/biased_lock.rs) has a fence of the kernel (membarrier)
# that the sanitizer does not know: what it protects is ordered by the Release and Acquire of its two words, which are seen.
# That the two sides cannot both go in is the fence's part, and not tested here.
set -euo pipefail
cd "$(dirname "$0")/.."

tests=("$@")
# Every layer's stack, the default, small slabs with a purge at once, thread caches beside heaps; depots; a worker. Tests that
# limit address space, measure what is resident or fork with threads cannot run beside the sanitizer's own memory and threads.
[ $# -gt 0 ] || tests=(threads:: depot:: stacks::alone stacks::threads background::blocks_pass background::misses_are)

export RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=thread"
# A report ends the test's process with 66 at once, and not at its end: what follows a race proves nothing. A worker that is
# being started when the program ends is told to stop, and not joined: that is no leak.
export TSAN_OPTIONS="halt_on_error=1 report_thread_leaks=0 ${TSAN_OPTIONS:-}"
cargo=(cargo +nightly test --quiet -Zbuild-std --target x86_64-unknown-linux-gnu --target-dir "${CARGO_TARGET_DIR:-target}/tsan")

"${cargo[@]}" -p hakmem-runtime --test sanitized
if report=$("${cargo[@]}" -p hakmem-runtime --test sanitized -- --ignored 2>&1); then
    echo "tsan: the control's race was not reported" >&2
    exit 1
elif ! grep -q "WARNING: ThreadSanitizer: data race" <<<"$report"; then
    echo "$report" >&2
    echo "tsan: the control failed, but not by a report" >&2
    exit 1
fi
echo "tsan: the control's race was reported"
# The sanitizer forgets a thread before the last round of pthread's destructors, and crashes on the code that runs there.
"${cargo[@]}" --test allocator -- --test-threads=2 --skip in_the_last_round "${tests[@]}"
