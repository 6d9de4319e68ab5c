//! One workload on all stacks.

use std::io;

use crate::args::Options;
use crate::clock::Clock;
use crate::histogram::Histogram;
use crate::probe::{Probe, Single, Whole};
use crate::progress::Progress;
use crate::resident;
use crate::stacks::{STACKS, Stack};
use crate::statistics::{self, Summary};
use crate::subject::{Heap, LayerCounts, User};
use crate::workloads::{Named, Workload};

/// Rounds in which single operations are timed. All are put together, so there need not be many.
const LATENCY_ROUNDS: u32 = 2;

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
    pub(crate) const fn of<A: Heap, C: Heap, W: Workload>() -> Cell {
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

/// Every turn begins with a part of the workload that is not timed: it brings back what the turns of other stacks drove
/// out of the caches, and lets the purge do what has become due meanwhile.
fn warm_up<A: Heap, P: Probe, W: Workload>(user: &mut User<A, P>, scale: Scale) {
    W::run(user, scale.repeats(W::REPEATS, 4));
}

fn time<A: Heap, W: Workload>(scale: Scale) -> f64 {
    let mut user: User<A, Whole> = User::new(Whole::default());
    warm_up::<A, _, W>(&mut user, scale);
    let operations = W::run(&mut user, scale.repeats(W::REPEATS, 1));
    user.probe.elapsed.as_nanos() as f64 / operations as f64
}

fn latency<A: Heap, W: Workload>(scale: Scale) -> Histogram {
    let mut user: User<A, Single> = User::new(Single::default());
    warm_up::<A, _, W>(&mut user, scale);
    // Reading the clock takes many times as long as an allocation; less of it will do.
    W::run(&mut user, scale.repeats(W::REPEATS, 8));
    user.probe.ticks
}

fn count<C: Heap, W: Workload>(scale: Scale) -> Counts {
    let mut user: User<C, Whole> = User::new(Whole::default());
    warm_up::<C, _, W>(&mut user, scale);
    let earlier = C::counts();
    let operations = W::run(&mut user, scale.repeats(W::REPEATS, 1));
    let layers = C::counts().iter().zip(&earlier).map(|(later, earlier)| later.since(earlier)).collect();
    Counts { operations, layers }
}

fn memory<A: Heap, W: Workload>(scale: Scale) -> Option<u64> {
    let mut user: User<A, Whole> = User::new(Whole::with_memory());
    W::run(&mut user, scale.repeats(W::REPEATS, 1));
    user.probe.grown
}

/// What was measured of one stack.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The stack's name.
    pub(crate) stack: &'static str,
    /// Nanoseconds an operation, by round.
    pub(crate) rounds: Vec<f64>,
    /// The same in brief.
    pub(crate) time: Summary,
    /// Nanoseconds of one allocation or free that half, 99 % and 99.9 % of them do not exceed.
    pub(crate) latency: [f64; 3],
    /// What the layers did.
    pub(crate) counts: Counts,
    /// Bytes by which resident memory grew.
    pub(crate) resident: Option<u64>,
}

/// What was measured of one workload.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Which it was.
    pub(crate) workload: &'static Named,
    /// A row for each stack, in the order of [`STACKS`].
    pub(crate) rows: Vec<Row>,
    /// The row with the least median.
    pub(crate) best: usize,
}

impl Comparison {
    /// The row of a stack.
    pub(crate) fn row(&self, stack: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.stack == stack)
    }
}

/// The turns that [`compare`] takes, for the progress.
pub(crate) fn turns(options: &Options) -> u32 {
    let stacks = STACKS.len() as u32;
    (options.rounds + LATENCY_ROUNDS + 2) * stacks
}

/// Runs `workload` on all stacks.
pub(crate) fn compare(workload: &'static Named, options: &Options, progress: &mut Progress) -> io::Result<Comparison> {
    let scale = if options.quick { Scale::Quick } else { Scale::Full };
    let cell = |stack: &'static Stack| &stack.cells[workload.index];

    let mut rounds = vec![Vec::new(); STACKS.len()];
    for round in 0..options.rounds {
        for index in order(round, options.rounds) {
            progress.turn(workload.name, format_args!("round {} of {}", round + 1, options.rounds), STACKS[index].name);
            rounds[index].push((cell(&STACKS[index]).time)(scale));
        }
    }
    let mut latencies = vec![Histogram::default(); STACKS.len()];
    for round in 0..LATENCY_ROUNDS {
        for index in order(round, LATENCY_ROUNDS) {
            progress.turn(workload.name, "single operations", STACKS[index].name);
            latencies[index].merge(&(cell(&STACKS[index]).latency)(scale));
        }
    }
    let mut rows = Vec::new();
    for ((stack, rounds), latency) in STACKS.iter().zip(rounds).zip(latencies) {
        progress.turn(workload.name, "counters", stack.name);
        let counts = (cell(stack).count)(scale);
        progress.turn(workload.name, "memory", stack.name);
        let resident = resident::measure(workload, stack, scale)?;
        let clock = Clock::get();
        rows.push(Row {
            stack: stack.name,
            time: statistics::summary(&rounds),
            rounds,
            latency: [0.5, 0.99, 0.999].map(|share| clock.nanoseconds(latency.percentile(share))),
            counts,
            resident,
        });
        // The next workload shall find no stack better prepared than another.
        (stack.purge)();
    }
    let best = statistics::smallest(rows.iter().map(|row| row.time.median)).unwrap_or(0);
    Ok(Comparison { workload, rows, best })
}

/// The order of the stacks in a round. It begins elsewhere in each and runs backwards in every other one, so that no
/// stack always comes first, or always after the same.
fn order(round: u32, rounds: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..STACKS.len()).collect();
    order.rotate_left(STACKS.len() * round as usize / rounds as usize);
    if round % 2 == 1 {
        order.reverse();
    }
    order
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
    fn every_round_has_every_stack() {
        for round in 0..7 {
            let mut order = order(round, 7);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..STACKS.len()));
        }
        assert_ne!(order(0, 7), order(1, 7));
    }

    #[test]
    fn counts_are_for_a_thousand_operations() {
        let layer = |refills| LayerCounts { layer: "any", refills, ..LayerCounts::default() };
        let counts = Counts { operations: 2000, layers: vec![layer(3), layer(5)] };
        assert_eq!(counts.per_thousand(|layer| layer.refills), Some(4.0));
        assert_eq!(counts.per_thousand(|layer| layer.spills), Some(0.0));
        assert_eq!(Counts::default().per_thousand(|layer| layer.refills), None);
    }
}
