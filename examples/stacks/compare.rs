//! One workload on all stacks.

use hakmem_harness::clock::Clock;
use hakmem_harness::histogram::Histogram;
use hakmem_harness::order::order;
use hakmem_harness::progress::Progress;
use hakmem_harness::statistics::{self, Summary};

use crate::args::Options;
use crate::cell::Counts;
use crate::resident;
use crate::stacks::{STACKS, Stack};
use crate::workloads::Named;

/// Rounds in which single operations are timed. All are put together, so there need not be many.
const LATENCY_ROUNDS: u32 = 2;

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
pub(crate) fn turns(options: &Options) -> usize {
    (options.rounds + LATENCY_ROUNDS + 2) as usize * STACKS.len()
}

/// Runs `workload` on all stacks.
pub(crate) fn compare(
    workload: &'static Named,
    options: &Options,
    progress: &mut Progress,
) -> Result<Comparison, String> {
    let scale = options.scale();
    let cell = |stack: &'static Stack| &stack.cells[workload.index];
    let mut turn = |step: &str, stack: &Stack| progress.turn(workload.name, format_args!("{step}, {}", stack.name));

    let mut rounds = vec![Vec::new(); STACKS.len()];
    for round in 0..options.rounds {
        for index in turns_of(round, options.rounds) {
            turn(&format!("round {} of {}", round + 1, options.rounds), &STACKS[index]);
            rounds[index].push((cell(&STACKS[index]).time)(scale));
        }
    }
    let mut latencies = vec![Histogram::default(); STACKS.len()];
    for round in 0..LATENCY_ROUNDS {
        for index in turns_of(round, LATENCY_ROUNDS) {
            turn("single operations", &STACKS[index]);
            latencies[index].merge(&(cell(&STACKS[index]).latency)(scale));
        }
    }
    let mut rows = Vec::new();
    for ((stack, rounds), latency) in STACKS.iter().zip(rounds).zip(latencies) {
        turn("counters", stack);
        let counts = (cell(stack).count)(scale);
        turn("memory", stack);
        let resident = resident::measure(workload, stack, scale)?;
        let clock = Clock::get();
        rows.push(Row {
            stack: stack.name,
            time: statistics::summary(&rounds).ok_or("no rounds")?,
            rounds,
            latency: [0.5, 0.99, 0.999].map(|share| clock.nanoseconds(latency.percentile(share))),
            counts,
            resident,
        });
        // So that no stack is better prepared for the next workload than another.
        (stack.purge)();
    }
    let best = statistics::smallest(rows.iter().map(|row| Some(row.time.median))).unwrap_or(0);
    Ok(Comparison { workload, rows, best })
}

/// The order of the stacks in a round. The rounds begin with stacks that are evenly spread over all.
fn turns_of(round: u32, rounds: u32) -> Vec<usize> {
    order(STACKS.len(), STACKS.len() * round as usize / rounds as usize, round as usize)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::subject::LayerCounts;
    use crate::workloads::WORKLOADS;

    /// A comparison of stacks by their rounds; the last one is the best.
    pub(crate) fn example(stacks: &[(&'static str, &[f64])]) -> Comparison {
        let row = |&(stack, rounds): &(&'static str, &[f64])| Row {
            stack,
            rounds: rounds.to_vec(),
            time: statistics::summary(rounds).unwrap(),
            latency: [100.0, 2000.0, 30_000.0],
            counts: Counts {
                operations: 1000,
                layers: vec![LayerCounts { layer: "sll", refills: 5, ..LayerCounts::default() }],
            },
            resident: Some(64 << 10),
        };
        Comparison { workload: &WORKLOADS[0], rows: stacks.iter().map(row).collect(), best: stacks.len() - 1 }
    }

    #[test]
    fn every_round_has_every_stack() {
        for round in 0..7 {
            let mut order = turns_of(round, 7);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..STACKS.len()));
        }
        assert_ne!(turns_of(0, 7), turns_of(1, 7));
    }
}
