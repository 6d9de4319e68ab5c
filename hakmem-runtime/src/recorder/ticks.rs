//! Time as the processor counts it: the clock is read at each allocation and each free.

/// Ticks of the time-stamp counter.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Where there is no such counter that any program may read: nanoseconds.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn now() -> u64 {
    nanoseconds()
}

/// Nanoseconds since some fixed moment.
pub(super) fn nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
