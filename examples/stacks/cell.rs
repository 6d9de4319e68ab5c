//! One workload on one stack, and what can be measured of it.

use hakmem_harness::histogram::Histogram;

use crate::probe::{Probe, Single, Whole};
use crate::subject::{LayerCounts, Subject, User};

/// A pattern of allocations and frees.
pub(crate) trait Workload {
    /// Repetitions that take some milliseconds.
    const REPEATS: u32;

    /// Prepares, runs `repeats` repetitions between [`Probe::start`] and [`Probe::stop`], and frees all it allocated.
    /// Returns how many blocks were allocated and freed.
    fn run<A: Subject, P: Probe>(user: &mut User<A, P>, repeats: u32) -> u64;
}

/// How much each workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Some milliseconds for each stack and round.
    Full,
    /// A tenth, to see whether all works.
    Quick,
    /// One repetition, for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests alone want so little"))]
    Least,
}

impl Scale {
    /// Repetitions of a workload that has `full` of them at full scale, divided by `parts`; at least one.
    fn repeats(self, full: u32, parts: u32) -> u32 {
        let scaled = match self {
            Scale::Full => full,
            Scale::Quick => full / 10,
            Scale::Least => 1,
        };
        (scaled / parts).max(1)
    }
}

/// What can be measured of one workload on one stack.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Nanoseconds an operation.
    pub(crate) time: fn(Scale) -> f64,
    /// Ticks of single allocations and frees.
    pub(crate) latency: fn(Scale) -> Histogram,
    /// What the layers do.
    pub(crate) count: fn(Scale) -> Counts,
    /// Bytes by which resident memory grows; of use only in a process that does nothing else.
    pub(crate) memory: fn(Scale) -> Option<u64>,
}

impl Cell {
    /// Of `W` on `A`, whose twin with counters is `C`.
    pub(crate) const fn of<A: Subject, C: Subject, W: Workload>() -> Cell {
        Cell { time: time::<A, W>, latency: latency::<A, W>, count: count::<C, W>, memory: memory::<A, W> }
    }
}

/// What the layers of a stack did during a workload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Pairs of an allocation and a free.
    pub(crate) operations: u64,
    /// By layer; empty if the allocator does not count.
    pub(crate) layers: Vec<LayerCounts>,
}

impl Counts {
    /// The sum over all layers of what `field` gives, for each thousand operations.
    pub(crate) fn per_thousand(&self, field: impl Fn(&LayerCounts) -> u64) -> Option<f64> {
        let sum: u64 = self.layers.iter().map(field).sum();
        (!self.layers.is_empty()).then(|| sum as f64 * 1000.0 / self.operations as f64)
    }
}

/// Every turn begins with a part of the workload that is not timed: it brings back what other stacks drove out of the
/// processor's caches, and lets the purge do what has become due meanwhile.
fn warm_up<A: Subject, P: Probe, W: Workload>(user: &mut User<A, P>, scale: Scale) {
    W::run(user, scale.repeats(W::REPEATS, 4));
}

fn time<A: Subject, W: Workload>(scale: Scale) -> f64 {
    let mut user: User<A, Whole> = User::new(Whole::default());
    warm_up::<A, _, W>(&mut user, scale);
    let operations = W::run(&mut user, scale.repeats(W::REPEATS, 1));
    user.probe.elapsed.as_nanos() as f64 / operations as f64
}

fn latency<A: Subject, W: Workload>(scale: Scale) -> Histogram {
    let mut user: User<A, Single> = User::new(Single::default());
    warm_up::<A, _, W>(&mut user, scale);
    // Reading the clock takes many times as long as an allocation; less of it will do.
    W::run(&mut user, scale.repeats(W::REPEATS, 8));
    user.probe.ticks
}

fn count<C: Subject, W: Workload>(scale: Scale) -> Counts {
    let mut user: User<C, Whole> = User::new(Whole::default());
    warm_up::<C, _, W>(&mut user, scale);
    let earlier = C::counts();
    let operations = W::run(&mut user, scale.repeats(W::REPEATS, 1));
    let layers = C::counts().iter().zip(&earlier).map(|(later, earlier)| later.since(earlier)).collect();
    Counts { operations, layers }
}

fn memory<A: Subject, W: Workload>(scale: Scale) -> Option<u64> {
    let mut user: User<A, Whole> = User::new(Whole::with_memory());
    W::run(&mut user, scale.repeats(W::REPEATS, 1));
    user.probe.grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_leaves_something_to_do() {
        assert_eq!(Scale::Full.repeats(100, 4), 25);
        assert_eq!(Scale::Quick.repeats(100, 4), 2);
        assert_eq!(Scale::Quick.repeats(10, 8), 1);
        assert_eq!(Scale::Least.repeats(100, 1), 1);
    }

    #[test]
    fn counts_are_for_a_thousand_operations() {
        let layer = |refills| LayerCounts { layer: "any", refills, ..LayerCounts::default() };
        let counts = Counts { operations: 2000, layers: vec![layer(3), layer(5)] };
        assert_eq!(counts.per_thousand(|layer| layer.refills), Some(4.0));
        assert_eq!(counts.per_thousand(|layer| layer.flushes), Some(0.0));
        assert_eq!(Counts::default().per_thousand(|layer| layer.refills), None);
    }
}
