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
    pub(crate) ns_per_tick: f64,
    /// Ticks from one reading to the next with nothing between, usually: part of every measurement.
    pub(crate) overhead: u64,
    /// The least difference between two readings that are not equal: nothing shorter can be told apart.
    pub(crate) step: u64,
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
        let mut gaps = Histogram::default();
        let mut counts: Vec<u64> = readings.windows(2).map(|pair| pair[1] - pair[0]).collect();
        counts.iter().for_each(|&gap| gaps.add(gap));
        counts.sort_unstable();
        counts.dedup();
        let step = counts.windows(2).map(|pair| pair[1] - pair[0]).min();
        Clock {
            ns_per_tick: elapsed.as_nanos() as f64 / ticked.max(1) as f64,
            overhead: gaps.percentile(0.5),
            step: step.unwrap_or(1),
        }
    }

    /// Nanoseconds of a measurement of `ticks`, without what reading the clock took.
    pub(crate) fn nanoseconds(&self, ticks: u64) -> f64 {
        ticks.saturating_sub(self.overhead) as f64 * self.ns_per_tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
