//! A clock that is read often: the processor's time-stamp counter on x86-64, [`Instant`] elsewhere.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;

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
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock is, measured once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Nanoseconds a tick.
    ns_per_tick: f64,
    /// Ticks from one reading to the next with nothing between, usually: part of every measurement.
    overhead: u64,
    /// The ticks by which readings move: nothing shorter can be told apart.
    step: u64,
}

impl Clock {
    /// The clock of this machine.
    pub(crate) fn get() -> Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(Clock::measure)
    }

    fn measure() -> Clock {
        let (started, first) = (Instant::now(), ticks());
        while started.elapsed() < Duration::from_millis(30) {}
        let (elapsed, ticked) = (started.elapsed(), ticks() - first);
        let readings: Vec<u64> = (0..20_000).map(|_| black_box(ticks())).collect();
        let gaps: Vec<u64> = readings.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut histogram = Histogram::default();
        gaps.iter().for_each(|&gap| histogram.add(gap));
        let overhead = histogram.percentile(0.5);
        Clock {
            ns_per_tick: elapsed.as_nanos() as f64 / ticked.max(1) as f64,
            overhead,
            step: step(gaps.into_iter().filter(|&gap| gap <= 3 * overhead).collect()),
        }
    }

    /// What reading the clock takes.
    pub(crate) fn nanoseconds_of_overhead(&self) -> f64 {
        self.overhead as f64 * self.ns_per_tick
    }

    /// What can be told apart.
    pub(crate) fn nanoseconds_of_step(&self) -> f64 {
        self.step as f64 * self.ns_per_tick
    }

    /// Nanoseconds of a measurement of `ticks`, without what reading the clock took.
    pub(crate) fn nanoseconds(&self, ticks: u64) -> f64 {
        ticks.saturating_sub(self.overhead) as f64 * self.ns_per_tick
    }
}

/// The least distance between `gaps` that is not rounding: counters of another frequency than they claim go up by 24 or
/// 25 at a time.
fn step(mut gaps: Vec<u64>) -> u64 {
    const ROUNDING: u64 = 2;
    gaps.sort_unstable();
    let distances = gaps.windows(2).map(|pair| pair[1] - pair[0]);
    distances.filter(|&distance| distance > ROUNDING).min().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_no_step() {
        assert_eq!(step(vec![74, 49, 98, 73, 50, 74]), 23);
        assert_eq!(step(vec![40, 41, 42, 43]), 1);
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
