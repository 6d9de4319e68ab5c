//! A thread's cache of extents: those that it freed last, for requests of about the same length. A hit takes no lock and
//! executes no atomic instruction. Other threads empty the cache when its memory is due for a purge.

use super::block::Block;
use super::lists::{LONGEST_LISTED, Listed, Lists};
use super::page_store::Owned;
use super::segment::Segment;
use crate::meta::biased_lock::{BiasedLock, Fences, Kernel};
use crate::sys::atomic_ref::AtomicRef;
use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// In the heap of the thread that owns it: only that thread calls `take`, `take_longer`, `put`, `take_any` and `count_free`.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct LocalCache {
    lock: BiasedLock,
    lists: Lists,
    /// How many blocks the thread freed.
    frees: AtomicU32,
    /// How many that were when somebody last asked whether it is idle.
    seen: AtomicU32,
    /// It could not be emptied when it was to be: the owner was using it, or is a thread that a forked child has not got; or
    /// the kernel has no `membarrier`.
    stuck: AtomicBool,
    /// Its number among the caches of its allocator, and the cache that was registered before it.
    pub(super) number: AtomicUsize,
    pub(super) next: AtomicRef<LocalCache>,
}

/// An extent from a cache, which the caller owns.
pub(super) type Cached = Listed<'static, AtomicU64>;

impl Cached {
    /// The segment that it is in.
    pub(super) fn segment(&self) -> Option<Segment> {
        segment_of(self.address)
    }

    /// As what is put back.
    pub(super) fn owned(&self) -> Option<Owned> {
        let segment = self.segment()?;
        Some(Owned { segment, unit: segment.unit(self.address), length: self.length })
    }
}

/// The segment of an extent that the caller owns.
#[inline]
fn segment_of(address: usize) -> Option<Segment> {
    // SAFETY: the extent is the caller's, so its segment stays mapped.
    unsafe { Segment::at(address) }.map(|(_, segment)| segment)
}

/// The word of the record of an extent that the caller owns.
#[inline]
fn record_at(address: usize) -> Option<&'static AtomicU64> {
    Some(segment_of(address)?.record_at(address))
}

impl LocalCache {
    /// No extents.
    pub(crate) const fn new() -> LocalCache {
        let lock = BiasedLock::new(AtomicU64::new(0), AtomicU64::new(0));
        LocalCache {
            lock,
            lists: Lists::EMPTY,
            frees: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            stuck: AtomicBool::new(false),
            number: AtomicUsize::new(0),
            next: AtomicRef::none(),
        }
    }

    /// An extent for `length` units. `None`: there is none, or somebody empties the cache.
    #[inline(always)]
    pub(super) fn take(&self, length: usize, align: usize) -> Option<Cached> {
        if length > LONGEST_LISTED {
            return None;
        }
        let extent = if self.lock.enter::<Kernel>() { self.lists.take(length, align, record_at) } else { None };
        self.lock.leave();
        extent
    }

    /// A longer extent than `take` returns.
    pub(super) fn take_longer(&self, length: usize) -> Option<Cached> {
        let extent = if self.lock.enter::<Kernel>() { self.lists.take_longer(length, record_at) } else { None };
        self.lock.leave();
        extent
    }

    /// Takes in an extent in use (or what was cut from one), which is described as a block, if there are at most `most`
    /// units then. `false`: it is the caller's.
    #[inline(always)]
    pub(super) fn put(&self, &Block { segment, unit, length, .. }: &Block, most: usize) -> bool {
        if length > LONGEST_LISTED || self.lists.units() + length > most {
            return false;
        }
        let start = segment.address(unit);
        let open = self.lock.enter::<Kernel>();
        if open {
            self.lists.put(start, length, segment.record_at(start));
        }
        self.lock.leave();
        open
    }

    /// Counts a free.
    #[inline]
    pub(super) fn count_free(&self) -> u32 {
        let frees = self.frees.load(Ordering::Relaxed).wrapping_add(1);
        self.frees.store(frees, Ordering::Relaxed);
        frees
    }

    /// Whether the thread has not freed anything since the last call. Only for the thread that may call [`empty`].
    pub(super) fn is_idle(&self) -> bool {
        let frees = self.frees.load(Ordering::Relaxed);
        self.seen.swap(frees, Ordering::Relaxed) == frees
    }

    /// Whether it could not be emptied the last time.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// How many units there are, for any thread: roughly.
    pub(super) fn units(&self) -> usize {
        self.lists.units()
    }

    /// The owner's way to empty it: any extent.
    pub(super) fn take_any(&self) -> Option<Owned> {
        let extent = if self.lock.enter::<Kernel>() { self.lists.take_any(record_at) } else { None };
        self.lock.leave();
        extent?.owned()
    }
}

/// The caches from `newest` on.
pub(super) fn starting_at(newest: Option<&'static LocalCache>) -> impl Iterator<Item = &'static LocalCache> {
    iter::successors(newest, |cache| cache.next.get())
}

/// Empties those of the caches from `newest` on that are `wanted`, whichever threads they belong to, except where a thread
/// uses its cache at this moment. One thread at a time.
pub(super) fn empty(
    newest: Option<&'static LocalCache>,
    wanted: impl Fn(&LocalCache) -> bool,
    put_back: impl Fn(&mut dyn FnMut() -> Option<Owned>),
) {
    let all = || starting_at(newest);
    let mut any = false;
    for cache in all().filter(|cache| cache.units() > 0 && wanted(cache)) {
        cache.lock.close();
        any = true;
    }
    if !any {
        return;
    }
    let fenced = Kernel::heavy();
    for cache in all().filter(|cache| cache.lock.is_closed()) {
        let alone = fenced && cache.lock.is_left();
        cache.stuck.store(!alone, Ordering::Relaxed);
        if alone {
            put_back(&mut || cache.lists.take_any(record_at)?.owned());
        }
        cache.lock.open();
    }
}
