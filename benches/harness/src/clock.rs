//! A clock for single operations: the processor's time-stamp counter on x86-64, [`Instant`] elsewhere.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The counter. The fences keep what is measured between its two readings.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has SSE2 and the counter, and Linux lets programs read it.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// Nanoseconds since the first call.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn ticks() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The clock's rate and its limits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    ns_per_tick: f64,
    /// Median ticks between two readings with nothing in between: part of every measurement.
    overhead: u64,
    /// The smallest difference between two measurements, in ticks.
    step: u64,
}

impl Clock {
    /// The clock of this machine. The first call measures it: that takes 30 ms and allocates, so call it before or
    /// after a measurement, not during one.
    pub fn get() -> Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(Clock::measure)
    }

    fn measure() -> Clock {
        let (started, first) = (Instant::now(), ticks());
        while started.elapsed() < Duration::from_millis(30) {}
        let (elapsed, ticked) = (started.elapsed(), ticks() - first);
        let readings: Vec<u64> = (0..20_000).map(|_| black_box(ticks())).collect();
        let mut gaps: Vec<u64> = readings.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        let overhead = gaps[gaps.len() / 2];
        gaps.retain(|&gap| gap <= 3 * overhead);
        Clock { ns_per_tick: elapsed.as_nanos() as f64 / ticked.max(1) as f64, overhead, step: step(&gaps) }
    }

    /// Nanoseconds that reading the clock takes.
    pub fn overhead(&self) -> f64 {
        self.overhead as f64 * self.ns_per_tick
    }

    /// Nanoseconds by which measurements differ at least, if they differ.
    pub fn step(&self) -> f64 {
        self.step as f64 * self.ns_per_tick
    }

    /// A measurement of `ticks` in nanoseconds, less the clock's own time.
    pub fn nanoseconds(&self, ticks: u64) -> f64 {
        ticks.saturating_sub(self.overhead) as f64 * self.ns_per_tick
    }
}

/// The smallest difference between ascending `gaps` that is not rounding. (A counter that ticks at another frequency
/// than it reports advances by 24 or 25 at a time, say.)
fn step(gaps: &[u64]) -> u64 {
    const ROUNDING: u64 = 2;
    let distances = gaps.windows(2).map(|pair| pair[1] - pair[0]);
    distances.filter(|&distance| distance > ROUNDING).min().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_no_step() {
        assert_eq!(step(&[49, 50, 73, 74, 74, 98]), 23);
        assert_eq!(step(&[40, 41, 42, 43]), 1);
    }

    #[test]
    fn overhead_is_subtracted() {
        let clock = Clock { ns_per_tick: 0.5, overhead: 40, step: 1 };
        assert_eq!(clock.nanoseconds(140), 50.0);
        assert_eq!(clock.nanoseconds(30), 0.0);
    }

    #[test]
    fn ticks_ascend_at_a_sensible_rate() {
        let clock = Clock::get();
        assert!(clock.ns_per_tick > 0.05 && clock.ns_per_tick <= 1000.0, "{clock:?}");
        let before = ticks();
        assert!(ticks() >= before);
    }
}
