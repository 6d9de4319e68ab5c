//! What is measured while a workload runs, chosen by type: a probe that measures nothing of an operation costs nothing.

use std::time::{Duration, Instant};

use hakmem_harness::histogram::Histogram;
use hakmem_harness::process;

/// Watches a workload.
pub(crate) trait Probe: Send + Sized {
    /// The workload is prepared and begins.
    fn start(&mut self);
    /// The workload is done.
    fn stop(&mut self);
    /// Does `operation`, one allocation or one free.
    fn operation<T>(&mut self, operation: impl FnOnce() -> T) -> T;
    /// A probe for another thread.
    fn fork(&self) -> Self;
    /// Takes over what a probe of another thread has seen.
    fn join(&mut self, other: Self);
}

/// The workload as a whole: how long it took, and, if asked for, by how much resident memory grew.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// Whether memory is looked at. It takes a system call, so not when time is what matters.
    memory: bool,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Resident bytes after it, less those before.
    pub(crate) grown: Option<u64>,
    started: Option<Instant>,
    resident_before: Option<u64>,
}

impl Whole {
    /// A probe that looks at memory, too.
    pub(crate) fn with_memory() -> Whole {
        Whole { memory: true, ..Whole::default() }
    }
}

impl Probe for Whole {
    fn start(&mut self) {
        if self.memory {
            self.resident_before = process::anonymous();
        }
        self.started = Some(Instant::now());
    }

    fn stop(&mut self) {
        self.elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        if let (true, Some(before)) = (self.memory, self.resident_before) {
            self.grown = process::anonymous().map(|after| after.saturating_sub(before));
        }
    }

    #[inline(always)]
    fn operation<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        operation()
    }

    fn fork(&self) -> Self {
        Self::default()
    }

    fn join(&mut self, _: Self) {}
}

/// Each operation by itself, in ticks of the clock.
#[derive(Debug, Default)]
pub(crate) struct Single {
    /// How long operations took. The clock's own time is still in it.
    pub(crate) ticks: Histogram,
}

impl Probe for Single {
    fn start(&mut self) {
        self.ticks.clear();
    }

    fn stop(&mut self) {}

    #[inline(always)]
    fn operation<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        self.ticks.measure(operation)
    }

    fn fork(&self) -> Self {
        Self::default()
    }

    fn join(&mut self, other: Self) {
        self.ticks.merge(&other.ticks);
    }
}
