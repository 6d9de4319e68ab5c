//! A shard: a page store with a lock of its own. Threads are spread over several, so that they seldom wait for each other;
//! what is freed goes to the shard that it came from.
//!
//! No system call is made under the lock but those of the arena, for nodes. Where more threads run than there are processors,
//! each acquisition can cost a turn of all of them, so what is put back together is put back under one.

use super::page_store::{Owned, PageStore, Taken, Wanted};
use super::segment::{Record, UNIT};
use crate::meta::arena;
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::lock::Lock;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The most extents that are put back under one acquisition of the lock.
const AT_ONCE: usize = 32;

/// # Invariants
/// An extent is in use (its record has the block), free (its record has a node of the store), or held: by a thread's cache,
/// or by a function of `extents`, `release` or `resize`.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    store: Lock<PageStore>,
    /// The units in use or cached, and the dirty free ones, as of the store's last change.
    used: AtomicUsize,
    dirty: AtomicUsize,
    /// The shard that was made after this one.
    pub(super) next: AtomicRef<Shard>,
}

// SAFETY: integers, locks that are free, lists that are empty, links of 0 and references that are not there (those to the
// chunks of nodes, too: a test looks at them) are all zero bytes. Threads share it through atomics and its lock.
unsafe impl arena::Zeroed for Shard {}

impl Shard {
    /// Runs `work` under the lock.
    pub(super) fn with_store<R>(&self, work: impl FnOnce(&mut PageStore) -> R) -> R {
        let mut store = self.store.lock();
        let result = work(&mut store);
        self.used.store(store.used - store.purging, Ordering::Relaxed);
        self.dirty.store(store.free.dirty, Ordering::Relaxed);
        result
    }

    /// [`PageStore::take`].
    #[inline(never)]
    pub(super) fn take(&self, wanted: Wanted) -> Option<Taken> {
        self.with_store(|store| store.take(wanted))
    }

    /// [`PageStore::take_resident`], if there may be so much.
    #[inline(never)]
    pub(super) fn take_resident(&self, wanted: Wanted) -> Option<Taken> {
        if self.dirty() < wanted.length { None } else { self.with_store(|store| store.take_resident(wanted)) }
    }

    /// [`PageStore::split_used`].
    #[inline(never)]
    pub(super) fn split_used(&self) -> bool {
        self.with_store(PageStore::split_used)
    }

    /// [`PageStore::put_dirty`] for `first`, which is this shard's, and for those that `next` returns, as long as they are, too,
    /// and not too many. Returns the one that is not put back.
    #[inline(never)]
    pub(super) fn put_dirty(&self, first: Owned, next: &mut dyn FnMut() -> Option<Owned>, now: u32) -> Option<Owned> {
        let number = first.segment.shard();
        self.with_store(|store| {
            let mut extent = first;
            for _ in 0..AT_ONCE {
                if extent.segment.shard() != number {
                    break;
                }
                store.put_dirty(extent, now);
                extent = next()?;
            }
            Some(extent)
        })
    }

    /// The units in use or cached.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The dirty free units.
    pub(super) fn dirty(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// How long ago the oldest memory that waits for a purge was freed.
    pub(super) fn oldest_age(&self, now: u32) -> Option<u32> {
        self.store.lock().free.oldest().map(|(_, extent)| now.wrapping_sub(extent.since))
    }

    /// How long ago the kernel was last asked again for pages that it refuses to take back; `None` if there are none.
    pub(super) fn retry_age(&self, now: u32) -> Option<u32> {
        let store = self.store.lock();
        store.refused.then(|| now.wrapping_sub(store.retried_at))
    }

    /// Calls `each` with the bytes of each block.
    pub(super) fn each_block(&self, each: &mut impl FnMut(usize)) {
        let store = self.store.lock();
        for segment in store.segments.iter() {
            let mut unit = segment.usable_units().start;
            while unit < segment.usable_units().end {
                unit += match segment.record(unit) {
                    Record::Used { length, .. } => {
                        each(length * UNIT);
                        length
                    }
                    Record::Held { length } => length,
                    Record::Free { node } => store.free.get(node).map_or(1, |extent| extent.length),
                    Record::Inside => 1,
                }
                .max(1);
            }
        }
    }

    pub(super) fn hold_for_fork(&self) {
        self.store.hold_for_fork();
    }

    pub(super) fn release_after_fork(&self) {
        self.store.release_after_fork();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zeroed_shard_has_an_empty_store() {
        let shard = arena::zeroed::<Shard>(0).expect("memory");
        shard.with_store(|store| assert_eq!(std::format!("{store:?}"), std::format!("{:?}", PageStore::EMPTY)));
    }
}
