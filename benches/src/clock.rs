//! A clock for single operations: the processor's time-stamp counter on x86-64, [`Instant`] elsewhere.

use std::time::Instant;

use crate::Latency;

/// The counter. The fences keep what is measured between its two readings.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ticks() -> u64 {
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
pub(crate) fn ticks() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Single measurements. Their memory is touched when this is made, so that it does not grow while it measures.
#[derive(Debug)]
pub(crate) struct Ticks(Vec<u32>);

impl Ticks {
    pub(crate) fn with_capacity(capacity: usize) -> Ticks {
        let mut ticks = vec![1; capacity];
        ticks.clear();
        Ticks(ticks)
    }

    /// Measures `operation`.
    #[inline(always)]
    pub(crate) fn measure<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let before = ticks();
        let result = operation();
        let after = ticks();
        self.0.push(u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX));
        result
    }

    /// Percentiles, less what reading the clock usually takes. `rate` is the clock's.
    pub(crate) fn latency(mut self, rate: &Rate) -> Latency {
        let mut nothing = Ticks::with_capacity(10_000);
        (0..10_000).for_each(|_| nothing.measure(|| ()));
        nothing.0.sort_unstable();
        self.0.sort_unstable();
        let overhead = nothing.share(0.5);
        let step = step(nothing.0.iter().copied().filter(|&ticks| ticks <= 3 * overhead));
        let at = |share| f64::from(self.share(share).saturating_sub(overhead)) * rate.nanoseconds_per_tick();
        Latency {
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: at(1.0),
            step: step * rate.nanoseconds_per_tick(),
        }
    }

    /// The value that a share of all values does not exceed; they are sorted.
    fn share(&self, share: f64) -> u32 {
        let count = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(count.max(1) - 1).copied().unwrap_or(0)
    }
}

/// The least distance between ascending readings that is not rounding: counters of another frequency than they claim go
/// up by 24 or 25 at a time.
fn step(readings: impl Iterator<Item = u32>) -> f64 {
    const ROUNDING: u32 = 2;
    let mut last = None;
    let distances = readings.filter_map(|reading| Some(reading - last.replace(reading)?));
    distances.filter(|&distance| distance > ROUNDING).min().unwrap_or(1).into()
}

/// Finds the rate of the counter: by what it counts while the workload runs.
#[derive(Debug)]
pub(crate) struct Rate(Instant, u64);

impl Rate {
    pub(crate) fn start() -> Rate {
        Rate(Instant::now(), ticks())
    }

    fn nanoseconds_per_tick(&self) -> f64 {
        let (elapsed, ticked) = (self.0.elapsed(), ticks() - self.1);
        elapsed.as_nanos() as f64 / ticked.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_values_that_occurred() {
        let ticks = Ticks((1..=1000).collect());
        assert_eq!([0.0, 0.5, 0.99, 0.999, 1.0].map(|share| ticks.share(share)), [1, 500, 990, 999, 1000]);
        assert_eq!(Ticks(Vec::new()).share(0.5), 0);
    }

    #[test]
    fn rounding_is_no_step() {
        assert_eq!(step([49, 50, 73, 74, 98].into_iter()), 23.0);
        assert_eq!(step([40, 41, 42].into_iter()), 1.0);
    }
}
