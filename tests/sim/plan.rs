//! What a run is made from, and what it leaves.

use crate::atomics::Step;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Nothing,
    /// A step of the runtime is left out.
    Without(Step),
    /// The kernel purges a page more than it is asked to.
    LongPurge,
}

/// What a run is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) control: Control,
    /// A failure is expected, and says nothing.
    pub(crate) quiet: bool,
}

/// What the process that runs a seed leaves for the one that started it, in memory that both share.
#[derive(Debug, Default)]
pub(crate) struct Result {
    pub(crate) trace: AtomicU64,
    pub(crate) points: AtomicU64,
    pub(crate) switches: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) forks: AtomicU64,
    pub(crate) purged: AtomicU64,
    pub(crate) kept: AtomicU64,
}

impl Result {
    pub(crate) fn clear(&self) {
        let Result { trace, points, switches, calls, refused, forks, purged, kept } = self;
        for count in [trace, points, switches, calls, refused, forks, purged, kept] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Adds those of another one.
    pub(crate) fn add(&self, other: &Result) {
        let Result { trace: _, points, switches, calls, refused, forks, purged, kept } = self;
        let mine = [points, switches, calls, refused, forks, purged, kept];
        let Result { trace: _, points, switches, calls, refused, forks, purged, kept } = other;
        for (mine, other) in mine.into_iter().zip([points, switches, calls, refused, forks, purged, kept]) {
            mine.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
