//! Percentiles of single operations, in nanoseconds.

use hakmem_benches::{Latency, Report};
use hakmem_harness::statistics;

use crate::results::{Arm, Measured};

/// A percentile of single operations.
pub(crate) type Percentile = (&'static str, fn(&Report) -> Option<f64>);

/// The one that is a goal.
pub(crate) const ALLOCATION_TAIL: Percentile =
    ("allocate p99.9", |report| allocation(report).map(|latency| latency.p99_9.max(latency.step)));

/// All that are shown. Less than a step of the clock counts as a step.
pub(crate) const PERCENTILES: [Percentile; 6] = [
    ("allocate p50", |report| allocation(report).map(|latency| latency.p50.max(latency.step))),
    ("allocate p99", |report| allocation(report).map(|latency| latency.p99.max(latency.step))),
    ALLOCATION_TAIL,
    ("free p50", |report| free(report).map(|latency| latency.p50.max(latency.step))),
    ("free p99", |report| free(report).map(|latency| latency.p99.max(latency.step))),
    ("free p99.9", |report| free(report).map(|latency| latency.p99_9.max(latency.step))),
];

fn allocation(report: &Report) -> Option<Latency> {
    report.outcome.allocation
}

fn free(report: &Report) -> Option<Latency> {
    report.outcome.free
}

/// The medians of a percentile, by allocator.
pub(crate) fn percentile(workload: &Measured, of: fn(&Report) -> Option<f64>) -> Vec<Option<f64>> {
    let median = |arm: &Arm| {
        let values: Vec<f64> = arm.rounds.iter().filter_map(of).collect();
        statistics::median(&values).filter(|_| arm.failures.is_empty())
    };
    workload.arms.iter().map(median).collect()
}

/// The step by which the clock moved, in nanoseconds.
pub(crate) fn clock_step(workload: &Measured) -> f64 {
    let steps = percentile(workload, |report| allocation(report).map(|latency| latency.step));
    steps.into_iter().flatten().fold(0.0, f64::max)
}
