//! Time, coarse and cheap.

/// Milliseconds since some fixed moment, wrapping; granularity one scheduler tick (1–10 ms), read through the vDSO
/// without a system call.
pub(crate) fn now_ms() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    // Truncation is the wrap that callers expect.
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add((time.tv_nsec / 1_000_000) as u32)
}
