//! Counts of durations: exact when short, to one part in 64 when long. It has a fixed size, so that it does not grow
//! while it measures.

use crate::clock;

/// Values below this have a bucket each.
const EXACT: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 10;
/// Buckets between a power of two and the next, above [`EXACT`].
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 6;
const BUCKETS: usize = EXACT as usize + (u64::BITS - EXACT_BITS) as usize * STEPS as usize;

/// How often each duration occurred.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Box<[u32]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into() }
    }
}

impl Histogram {
    /// Counts `value`.
    #[inline(always)]
    pub fn add(&mut self, value: u64) {
        self.buckets[bucket(value)] += 1;
    }

    /// Does `operation` and counts how long it took, in ticks. The clock's own time is part of it.
    #[inline(always)]
    pub fn measure<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let before = clock::ticks();
        let result = operation();
        let after = clock::ticks();
        self.add(after.saturating_sub(before));
        result
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets.fill(0);
    }

    /// Adds what `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&count| u64::from(count)).sum()
    }

    /// The smallest value that at least `share` of all values do not exceed, `share` from 0 to 1; the lower end of its
    /// bucket, and 0 if there are no values.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted.max(1) {
                return lower_end(index as u64);
            }
        }
        0
    }
}

/// The number of the bucket for `value`.
#[inline(always)]
fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let power = value.ilog2();
    let step = (value >> (power - STEP_BITS)) - STEPS;
    (EXACT + u64::from(power - EXACT_BITS) * STEPS + step) as usize
}

/// The smallest value in a bucket.
fn lower_end(bucket: u64) -> u64 {
    if bucket < EXACT {
        return bucket;
    }
    let (powers, step) = ((bucket - EXACT) / STEPS, (bucket - EXACT) % STEPS);
    (STEPS + step) << (powers + u64::from(EXACT_BITS - STEP_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_ascend_and_hold_their_lower_ends() {
        for index in 0..BUCKETS as u64 {
            assert_eq!(bucket(lower_end(index)), index as usize);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        for value in [1023, 1024, 1039, 1040, 65_535, 65_536, 1_000_000] {
            let found = lower_end(bucket(value) as u64);
            assert!(found <= value && value - found <= value / 64, "{value} is counted as {found}");
        }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), 0);
        for value in 1..=1000 {
            histogram.add(value);
        }
        assert_eq!([0.0, 0.5, 0.99, 0.999, 1.0].map(|share| histogram.percentile(share)), [1, 500, 990, 999, 1000]);
    }

    #[test]
    fn merging_adds_and_clearing_forgets() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.add(3);
        other.add(5);
        other.add(5);
        one.merge(&other);
        assert_eq!((one.count(), one.percentile(0.1), one.percentile(0.5)), (3, 3, 5));
        one.clear();
        assert_eq!(one.count(), 0);
    }
}
