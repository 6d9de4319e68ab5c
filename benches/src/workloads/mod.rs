//! What the allocators are compared on. Each workload does a fixed amount of work, writes to what it allocates, and
//! checks it when it frees.

mod blocks;
mod boxes;
mod bursts;
mod growth;
mod idle;
mod large;
mod latency;
mod lists;
mod places;
mod programs;
mod threads;

use std::time::{Duration, Instant};

use crate::Outcome;

/// A workload by name.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What the user calls it.
    pub name: &'static str,
    /// It and others of its kind.
    pub group: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    run: Run,
    /// The same work without an allocator, where it is of interest what the memory itself costs.
    floor: Option<fn(Scale) -> Outcome>,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    /// One of ours.
    Pattern(fn(Scale) -> Outcome),
    /// A whole program, at its usual scale.
    Program { scale: u32 },
}

impl Workload {
    /// Runs it, on this process's allocator; none if it is a whole program and those were not built.
    pub fn run(&self, scale: Scale) -> Option<Outcome> {
        match self.run {
            Run::Pattern(run) => Some(run(scale)),
            Run::Program { scale: usual } => programs::run(self.name, usual, scale),
        }
    }

    /// Does the same work on blocks that lie side by side in one array; none if there is no such variant.
    pub fn run_floor(&self, scale: Scale) -> Option<Outcome> {
        self.floor.map(|run| run(scale))
    }

    /// Whether there is a variant without an allocator.
    pub fn has_floor(&self) -> bool {
        self.floor.is_some()
    }

    /// Whether it is a whole program, for which there are runners of their own.
    pub fn is_program(&self) -> bool {
        matches!(self.run, Run::Program { .. })
    }
}

/// How much of a workload's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// All of it: 0.2 to 2 s on most allocators, whole programs 1 to 5 s.
    Full,
    /// A twentieth: to see whether it runs, not how fast.
    Quick,
}

impl Scale {
    /// `count`, or what is left of it.
    fn of(self, count: u64) -> u64 {
        match self {
            Scale::Full => count,
            Scale::Quick => count.div_ceil(20),
        }
    }
}

const fn pattern(group: &'static str, name: &'static str, about: &'static str, run: fn(Scale) -> Outcome) -> Workload {
    Workload { name, group, about, run: Run::Pattern(run), floor: None }
}

/// All workloads, in the order in which they run.
pub fn all() -> Vec<Workload> {
    let mut all = Vec::from([
        pattern("suite", "random_mixed_256", "256 blocks of 16–1,024 B, one at random replaced", |scale| {
            places::replace::<256, 16, 1024>(scale, 32_000_000)
        }),
        pattern("suite", "random_mixed_10k", "10,000 blocks of 16–4,096 B, one at random replaced", |scale| {
            places::replace::<10_000, 16, 4096>(scale, 8_000_000)
        }),
        pattern("suite", "tiny_hot", "100 blocks of 16–128 B, freed last in first out", lists::tiny_hot),
        pattern("suite", "random_free_50k", "50,000 blocks of 64 B, freed in random order", |scale| {
            lists::random::<8>(scale, 50_000, 400)
        }),
        pattern(
            "suite",
            "fragment_stress",
            "every other block freed, the gaps too small for what follows",
            bursts::gaps,
        ),
        pattern("suite", "mid_large", "64 blocks of 8–128 KiB, one at random replaced", |scale| {
            places::replace::<64, 8192, 131_072>(scale, 1_500_000)
        }),
        pattern("suite", "mid_large_mt", "the same in two threads", |scale| {
            places::replace_in_threads::<64, 8192, 131_072>(scale, 2, 2_000_000)
        }),
        pattern("suite", "larson_1", "1 thread, 1,000 blocks of 8–1,000 B each, handed to a successor", |scale| {
            threads::larson(scale, 1)
        }),
        pattern("suite", "larson_2", "2 threads, 1,000 blocks of 8–1,000 B each, handed to successors", |scale| {
            threads::larson(scale, 2)
        }),
        pattern("suite", "larson_8", "8 threads, 1,000 blocks of 8–1,000 B each, handed to successors", |scale| {
            threads::larson(scale, 8)
        }),
        pattern("suite", "producer_consumer_2", "1 thread allocates 64 B blocks, 1 frees them", |scale| {
            threads::producer_consumer(scale, 1)
        }),
        pattern("suite", "producer_consumer_8", "4 threads allocate 64 B blocks, 4 free them", |scale| {
            threads::producer_consumer(scale, 4)
        }),
        pattern("suite", "thread_churn", "a thread for every 100 blocks of 16–512 B", threads::churn),
        pattern("suite", "realloc_growth", "a block doubled from 16 B to 64 MiB, its last byte written", |scale| {
            growth::doubling(scale, blocks::Written::Last)
        }),
        pattern("suite", "realloc_written", "a block doubled from 16 B to 64 MiB, each page written", |scale| {
            growth::doubling(scale, blocks::Written::Pages)
        }),
        pattern("suite", "realloc_small", "100 vectors that grow by pushing, to 4 KiB", growth::vectors),
        pattern("suite", "burst_idle", "400 MiB of 16–256 B freed, then 2 s of a trickle", |scale| {
            bursts::burst(scale, bursts::After::Trickle)
        }),
        pattern("suite", "burst_silent", "400 MiB of 16–256 B freed, then 2 s of nothing", |scale| {
            bursts::burst(scale, bursts::After::Nothing)
        }),
    ]);
    all.extend(boxes::MICRO);
    all.extend(lists::COMPREHENSIVE);
    all.extend(lists::LIVE);
    all.extend(threads::SCALING);
    all.extend(latency::LATENCY);
    all.extend(large::LARGE);
    all.extend(idle::IDLE);
    all.extend(programs::PROGRAMS);
    all
}

/// `operations` done in `elapsed`, and nothing else.
fn outcome(operations: u64, elapsed: Duration) -> Outcome {
    Outcome { operations, nanoseconds: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), ..Outcome::default() }
}

/// Does `work`, at first a sixteenth of `repeats` times, which is not timed, and then `repeats` times.
fn repeat(scale: Scale, repeats: u64, operations_each: u64, mut work: impl FnMut()) -> Outcome {
    let repeats = scale.of(repeats);
    (0..repeats.div_ceil(16)).for_each(|_| work());
    let started = Instant::now();
    (0..repeats).for_each(|_| work());
    outcome(repeats * operations_each, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_no_group_has_the_name_of_a_workload() {
        let all = all();
        let names: HashSet<_> = all.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|workload| !names.contains(workload.group)));
    }
}
