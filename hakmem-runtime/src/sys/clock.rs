//! Clocks: a cheap coarse one and an exact one.

use super::libc_safe;

/// Milliseconds since an arbitrary moment, wrapping. The resolution is one scheduler tick (1 to 10 ms); the clock is
/// read through the vDSO, without a system call.
pub(crate) fn now_ms() -> u32 {
    let time = read(libc::CLOCK_MONOTONIC_COARSE);
    // Truncation is the wrapping that callers expect.
    (time.tv_sec as u32).wrapping_mul(1000).wrapping_add((time.tv_nsec / 1_000_000) as u32)
}

/// Nanoseconds since an arbitrary moment.
#[cfg(hakmem_record)]
pub(crate) fn now_ns() -> u64 {
    let time = read(libc::CLOCK_MONOTONIC);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // It cannot fail: every Linux since 2.6.32 has these clocks.
    libc_safe::clock_gettime(clock, &mut time);
    time
}
