//! What all threads share of each (size, alignment): how many blocks of it are live, and their peak.
//!
//! A thread publishes its own count when that has changed by [`BATCH`] blocks, with the highest value in between. So
//! the peak is exact in a program with one thread; each further thread can hide less than a batch.

use crate::sys::lock::Lock;
use crate::sys::mmap;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::*};

/// Blocks by which a thread's count may differ from what it has published.
pub(super) const BATCH: i64 = 64;

/// The base-2 logarithm of the number of slots in the hash table of requests.
const SLOT_BITS: u32 = 20;

/// The most requests that are told apart: as many as half of the slots. When these are almost used up, new sizes are
/// rounded up to powers of two.
const CAPACITY: usize = 1 << (SLOT_BITS - 1);

/// A (size, alignment), as one word that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    /// The key of a request. Sizes above `largest` are rounded up to an eighth of a power of two, to limit how many
    /// there are: such a block takes whole pages anyway.
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

    /// A hash whose high bits are well mixed.
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
    /// The size of the block that serves it in an ordinary build; 0 for a large block.
    pub(super) block: AtomicU64,
    pub(super) live: AtomicI64,
    pub(super) peak: AtomicI64,
    /// How many were live at the peak of all live bytes. Two, since one may be being written (see `timeline`).
    pub(super) at_peak: [AtomicI64; 2],
}

impl Request {
    const fn new() -> Request {
        Request {
            key: AtomicU64::new(0),
            block: AtomicU64::new(0),
            live: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            at_peak: [const { AtomicI64::new(0) }; 2],
        }
    }

    pub(super) fn key(&self) -> Option<Key> {
        Key::from_word(self.key.load(Relaxed))
    }

    /// Adds a thread's live blocks since it last published them: `delta` now, `high` at most in between.
    pub(super) fn add(&self, delta: i64, high: i64) {
        let before = self.live.fetch_add(delta, Relaxed);
        let peak = before.wrapping_add(high);
        if peak > self.peak.load(Relaxed) {
            self.peak.fetch_max(peak, Relaxed);
        }
    }
}

/// The requests in the order in which they were first seen. In `.bss`: pages that are not used yet take no memory.
static REQUESTS: [Request; CAPACITY] = [const { Request::new() }; CAPACITY];
static COUNT: AtomicU32 = AtomicU32::new(0);
/// A hash table from keys to requests, with open addressing: the request's index plus one, or 0.
static INDEX: Lock<[u32; 1 << SLOT_BITS]> = Lock::new([0; 1 << SLOT_BITS]);

/// All requests seen so far.
pub(super) fn all() -> &'static [Request] {
    REQUESTS.get(..COUNT.load(Acquire) as usize).unwrap_or_default()
}

/// The shared part of a request, which is added if it is new. `None`: there are too many.
#[cold]
pub(super) fn find_or_add(key: Key, block: usize) -> Option<&'static Request> {
    let mut slots = INDEX.lock();
    let count = COUNT.load(Relaxed);
    let is_almost_full = count as usize >= CAPACITY - CAPACITY / 8;
    let key = if is_almost_full { key.rounded() } else { key };
    let mut position = (key.hash() >> (u64::BITS - SLOT_BITS)) as usize;
    // Ends at an empty slot: at most half of them are used.
    loop {
        let slot = slots.get_mut(position & ((1 << SLOT_BITS) - 1))?;
        let Some(index) = slot.checked_sub(1) else {
            let request = REQUESTS.get(count as usize)?;
            request.key.store(key.word(), Relaxed);
            request.block.store(block as u64, Relaxed);
            *slot = count.wrapping_add(1);
            COUNT.store(count.wrapping_add(1), Release);
            return Some(request);
        };
        let request = REQUESTS.get(index as usize)?;
        if request.key() == Some(key) {
            return Some(request);
        }
        position = position.wrapping_add(1);
    }
}

/// Holds the lock for a fork.
pub(super) fn before_fork() {
    INDEX.hold_for_fork();
}

/// Releases it on both sides.
pub(super) fn after_fork() {
    INDEX.release_after_fork();
}

/// In the child of a fork, which has one thread: all counters are zero.
pub(super) fn reset() {
    for request in all() {
        for counter in [&request.live, &request.peak].into_iter().chain(&request.at_peak) {
            counter.store(0, Relaxed);
        }
    }
}
