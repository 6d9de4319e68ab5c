//! Time by the processor's time-stamp counter, which is cheap enough to read at each allocation and each free.

use crate::sys::clock;
use core::sync::atomic::{AtomicU64, Ordering::*};

/// Nanoseconds in a tick, times 2³².
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);

/// How long the calibration takes, in nanoseconds: long enough for an error below 0.1 %.
#[cfg(target_arch = "x86_64")]
const CALIBRATION: u64 = 500_000;

/// The time in ticks.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn now() -> u64 {
    // SAFETY: `rdtsc` is part of x86-64, and Linux does not forbid it to programs unless they ask for that.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The time in ticks, which are nanoseconds: on other processors there is no such counter to rely on.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn now() -> u64 {
    clock::now_ns()
}

/// Converts ticks to nanoseconds.
#[inline]
pub(super) fn nanoseconds_of(ticks: u64) -> u64 {
    (u128::from(ticks).wrapping_mul(SCALE.load(Relaxed).into()) >> 32) as u64
}

/// Measures the length of a tick. Called once, before ticks are converted.
#[cfg(target_arch = "x86_64")]
pub(super) fn calibrate() {
    let (ticks, time) = ticks_and_time();
    loop {
        let (later, now) = ticks_and_time();
        let (ticks, time) = (later.wrapping_sub(ticks), now.wrapping_sub(time));
        if time >= CALIBRATION && ticks > 0 {
            let scale = (u128::from(time) << 32) / u128::from(ticks);
            SCALE.store(scale as u64, Relaxed);
            return;
        }
    }
}

/// A tick is a nanosecond.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn calibrate() {}

/// Ticks and nanoseconds of the same moment: of four readings, the one with the fewest ticks between the two.
#[cfg(target_arch = "x86_64")]
fn ticks_and_time() -> (u64, u64) {
    let read = |_| {
        let before = now();
        let time = clock::now_ns();
        (now().wrapping_sub(before), before, time)
    };
    (0..4).map(read).min().map_or((0, 0), |(_, ticks, time)| (ticks, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_pass_as_the_clock_does() {
        calibrate();
        let (ticks, time) = ticks_and_time();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (later, now) = ticks_and_time();
        let (found, real) = (nanoseconds_of(later.wrapping_sub(ticks)), now.wrapping_sub(time));
        assert!(found.abs_diff(real) < real / 50, "{found} ns, not {real}");
    }
}
