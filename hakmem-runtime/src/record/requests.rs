//! What all threads share of each (size, alignment): how many blocks of it are alive, and the most that were.
//!
//! A thread adds to it when its own count has moved by [`BATCH`] blocks, with the highest point in between. So the peak
//! is exact in a program of one thread; with more it is off by less than a batch for each further thread.

use crate::sys::lock::Lock;
use crate::sys::mmap::{self, Access};
use core::ptr;
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};

/// Blocks by which a thread's count may differ from what it has told.
pub(super) const BATCH: i64 = 64;

/// The most kinds of request. Beyond it, sizes are rounded up to powers of two.
const CAPACITY: usize = 1 << 19;

/// A (size, alignment), as one word that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    /// The key of a request. Exact up to `largest`; above it an eighth of a power of two is a step, since such a block is
    /// in whole pages anyway and there must be an end to the kinds.
    pub(super) fn new(size: usize, align: usize, largest: usize) -> Key {
        let size = if size <= largest { size } else { coarse(size) };
        Key((size as u64) << 8 | u64::from(align.trailing_zeros().wrapping_add(1) & 0xFF))
    }

    pub(super) fn size(self) -> u64 {
        self.0 >> 8
    }

    pub(super) fn align(self) -> u64 {
        1_u64.wrapping_shl((self.0 as u32 & 0xFF).wrapping_sub(1))
    }

    pub(super) fn from_word(word: u64) -> Option<Key> {
        (word != 0).then_some(Key(word))
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    /// A number for hash tables: its high bits are good.
    pub(super) fn hash(self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// The same request with its size rounded up to a power of two.
    fn rounded(self) -> Key {
        Key(self.size().checked_next_power_of_two().unwrap_or(1 << 55) << 8 | (self.0 & 0xFF))
    }
}

/// `size` rounded up to an eighth of the power of two below it.
fn coarse(size: usize) -> usize {
    let step = 1_usize << size.ilog2().saturating_sub(3);
    mmap::round_up(size, step).unwrap_or(size)
}

/// What threads share of a request.
#[derive(Debug)]
pub(super) struct Request {
    key: AtomicU64,
    /// The block that serves it in an unrecorded build; 0 for a large one.
    pub(super) block: AtomicU64,
    pub(super) live: AtomicI64,
    pub(super) peak: AtomicI64,
    /// How many were alive when all live bytes together were most; two, of which one is being written.
    pub(super) at_peak: [AtomicI64; 2],
}

impl Request {
    pub(super) fn key(&self) -> Option<Key> {
        Key::from_word(self.key.load(Relaxed))
    }

    /// Adds a thread's blocks since it last told: `delta` at last, `high` at most.
    pub(super) fn add(&self, delta: i64, high: i64) {
        let before = self.live.fetch_add(delta, Relaxed);
        let peak = before.wrapping_add(high);
        if peak > self.peak.load(Relaxed) {
            self.peak.fetch_max(peak, Relaxed);
        }
    }
}

/// The requests in the order in which they were first seen. Null before the first.
static FIRST: AtomicPtr<Request> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicU32 = AtomicU32::new(0);
/// From a key to its number: a hash table of numbers plus one.
static INDEX: Lock<Index> = Lock::new(Index { slots: ptr::null_mut() });

#[derive(Debug)]
struct Index {
    slots: *mut u32,
}

// SAFETY: the slots belong to whoever holds the lock.
unsafe impl Send for Index {}

/// All requests seen so far.
pub(super) fn all() -> &'static [Request] {
    let (count, first) = (COUNT.load(Acquire), FIRST.load(Acquire));
    if first.is_null() {
        return &[];
    }
    // SAFETY: the first `count` are written and stay; all their fields are atomics.
    unsafe { core::slice::from_raw_parts(first, count as usize) }
}

/// The shared part of a request, made if need be. `None`: there is no memory for it.
#[cold]
pub(super) fn find(key: Key, block: usize) -> Option<&'static Request> {
    let mut index = INDEX.lock();
    if index.slots.is_null() {
        let slots = mmap::map(CAPACITY * 2 * size_of::<u32>(), mmap::page_size(), Access::ReadWrite);
        let first = mmap::map(CAPACITY * size_of::<Request>(), mmap::page_size(), Access::ReadWrite);
        if slots == 0 || first == 0 {
            return None;
        }
        index.slots = ptr::with_exposed_provenance_mut(slots);
        FIRST.store(ptr::with_exposed_provenance_mut(first), Release);
    }
    let full = COUNT.load(Relaxed) as usize >= CAPACITY - CAPACITY / 8;
    let key = if full { key.rounded() } else { key };
    let mut place = key.hash() as usize >> 44;
    loop {
        // SAFETY: the table has a power of two of slots, more than there are numbers, and is ours while locked.
        let slot = unsafe { index.slots.add(place & (CAPACITY * 2 - 1)) };
        // SAFETY: as above.
        let number = unsafe { *slot };
        let Some(number) = number.checked_sub(1) else {
            return insert(slot, key, block);
        };
        // SAFETY: the number is one of those given out.
        let request = unsafe { &*FIRST.load(Relaxed).add(number as usize) };
        if request.key.load(Relaxed) == key.word() {
            return Some(request);
        }
        place = place.wrapping_add(1);
    }
}

fn insert(slot: *mut u32, key: Key, block: usize) -> Option<&'static Request> {
    let count = COUNT.load(Relaxed);
    if count as usize >= CAPACITY {
        return None;
    }
    // SAFETY: the array has room for it; nobody else writes there, since the caller holds the index.
    let request = unsafe { &*FIRST.load(Relaxed).add(count as usize) };
    request.key.store(key.word(), Relaxed);
    request.block.store(block as u64, Relaxed);
    // SAFETY: the caller's slot, under its lock.
    unsafe { *slot = count.wrapping_add(1) };
    COUNT.store(count.wrapping_add(1), Release);
    Some(request)
}

/// Locks the index for the length of a fork, so that the child can go on.
pub(super) fn before_fork() {
    INDEX.hold_for_fork();
}

/// Unlocks it on both sides.
pub(super) fn after_fork() {
    INDEX.release_after_fork();
}

/// Sets all counters to zero, in the child of a fork, which has one thread.
pub(super) fn forget() {
    for request in all() {
        for counter in [&request.live, &request.peak].into_iter().chain(&request.at_peak) {
            counter.store(0, Relaxed);
        }
    }
}
