//! Time as the processor counts it, which is cheap enough to be looked at for each allocation and each free, and what it
//! is in nanoseconds.

use core::sync::atomic::{AtomicU64, Ordering::*};

/// Nanoseconds of a tick, times 2³².
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);

/// Nanoseconds that are watched to know the length of a tick: as many as make it exact to a thousandth.
#[cfg(target_arch = "x86_64")]
const WATCHED: u64 = 500_000;

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

/// So many ticks in nanoseconds.
#[inline]
pub(super) fn nanoseconds_of(ticks: u64) -> u64 {
    (u128::from(ticks).wrapping_mul(SCALE.load(Relaxed).into()) >> 32) as u64
}

/// Finds out how long a tick is, once, at the beginning.
#[cfg(target_arch = "x86_64")]
pub(super) fn calibrate() {
    let (ticks, time) = both();
    loop {
        let (later, now) = both();
        let (ticks, time) = (later.wrapping_sub(ticks), now.wrapping_sub(time));
        if time >= WATCHED && ticks > 0 {
            let scale = (u128::from(time) << 32) / u128::from(ticks);
            SCALE.store(scale as u64, Relaxed);
            return;
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn calibrate() {}

/// Ticks and nanoseconds of one moment: of a few looks that at which least time passed between the two.
#[cfg(target_arch = "x86_64")]
fn both() -> (u64, u64) {
    let look = |_| {
        let before = now();
        let time = nanoseconds();
        (now().wrapping_sub(before), before, time)
    };
    (0..4).map(look).min().map_or((0, 0), |(_, ticks, time)| (ticks, time))
}

/// Nanoseconds since some fixed moment.
fn nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_pass_as_the_clock_does() {
        calibrate();
        let (ticks, time) = both();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (later, now) = both();
        let (found, real) = (nanoseconds_of(later.wrapping_sub(ticks)), now.wrapping_sub(time));
        assert!(found.abs_diff(real) < real / 50, "{found} ns, not {real}");
    }
}
