//! A thread's own counters.
//!
//! They outlive the thread, and a later thread continues them. So their sums cover all threads, and there are only as
//! many as threads ran at the same time.

use super::requests::{self, BATCH, Key, Request};
use crate::meta::arena;
use crate::sys::atomic_ref::AtomicRef;
use crate::sys::thread_key::ThreadKey;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

/// Buckets for lifetimes, one for each power of two: the first is for less than 2⁸ ns, the last for 2³⁸ ns and more.
pub(super) const LIFETIMES: usize = 32;
/// The base-2 logarithm, in nanoseconds, by which the first bucket is named in the profile.
pub(super) const SHORTEST: u32 = 7;

/// Bytes by which a thread's live bytes may differ from what it has published.
const BYTES_BATCH: i64 = 1024;

/// The entries of a thread's first table. A power of two.
const FIRST_CAPACITY: usize = 256;

/// Adds to a counter that only the calling thread writes to.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
}

/// The counters of one (size, alignment).
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    key: AtomicU64,
    request: AtomicRef<Request>,
    /// The change in live blocks since the thread last published it, and its highest value since then.
    delta: AtomicI64,
    high: AtomicI64,
    pub(super) allocated: AtomicU64,
    pub(super) freed: AtomicU64,
    /// Of `freed`, those that another thread had allocated.
    pub(super) remote: AtomicU64,
    /// Reallocations of a block of this size to another, and to this size from another.
    pub(super) grown_from: AtomicU64,
    pub(super) grown_to: AtomicU64,
    pub(super) lifetimes: [AtomicU32; LIFETIMES],
}

impl Entry {
    pub(super) fn key(&self) -> Option<Key> {
        Key::from_word(self.key.load(Relaxed))
    }

    pub(super) fn request(&self) -> Option<&'static Request> {
        self.request.get()
    }

    fn counters(&self) -> [&AtomicU64; 5] {
        [&self.allocated, &self.freed, &self.remote, &self.grown_from, &self.grown_to]
    }

    /// Blocks that this thread added to the live ones; negative if it frees more than it allocates.
    pub(super) fn live(&self) -> i64 {
        let [allocated, freed, _, grown_from, grown_to] = self.counters().map(|counter| counter.load(Relaxed));
        allocated.wrapping_add(grown_to).wrapping_sub(freed.wrapping_add(grown_from)) as i64
    }

    /// The most live blocks since the thread last published them, relative to then.
    pub(super) fn unpublished_high(&self) -> i64 {
        self.high.load(Relaxed)
    }

    fn add_live(&self, count: i64) {
        let delta = self.delta.load(Relaxed).wrapping_add(count);
        self.delta.store(delta, Relaxed);
        if delta > self.high.load(Relaxed) {
            self.high.store(delta, Relaxed);
        }
        if delta.abs() >= BATCH {
            self.publish();
        }
    }

    fn publish(&self) {
        if let Some(request) = self.request() {
            request.add(self.delta.load(Relaxed), self.high.load(Relaxed));
        }
        self.delta.store(0, Relaxed);
        self.high.store(0, Relaxed);
    }

    fn reset(&self) {
        for counter in [&self.delta, &self.high] {
            counter.store(0, Relaxed);
        }
        self.counters().iter().for_each(|counter| counter.store(0, Relaxed));
        self.lifetimes.iter().for_each(|count| count.store(0, Relaxed));
    }

    /// Makes this entry, of a table that no other thread knows yet, equal to one of the old table.
    fn copy_from(&self, old: &Entry) {
        for (counter, old) in [(&self.delta, &old.delta), (&self.high, &old.high)] {
            counter.store(old.load(Relaxed), Relaxed);
        }
        for (counter, old) in self.counters().iter().zip(old.counters()) {
            counter.store(old.load(Relaxed), Relaxed);
        }
        for (count, old) in self.lifetimes.iter().zip(&old.lifetimes) {
            count.store(old.load(Relaxed), Relaxed);
        }
        if let Some(request) = old.request() {
            self.request.set(Some(request));
        }
        self.key.store(old.key.load(Relaxed), Relaxed);
    }
}

/// A hash table of entries with open addressing. The entries follow it in memory.
#[derive(Debug)]
#[repr(C, align(64))]
struct Table {
    /// Written once, before another thread knows the table.
    capacity: AtomicUsize,
}

// SAFETY: an atomic, of which every value is one.
unsafe impl arena::Zeroed for Table {}

impl Table {
    /// An empty table, whose capacity is a power of two.
    fn new(capacity: usize) -> Option<&'static Table> {
        let table = arena::zeroed::<Table>(capacity.checked_mul(size_of::<Entry>())?)?;
        table.capacity.store(capacity, Relaxed);
        Some(table)
    }

    fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    fn entries(&'static self) -> &'static [Entry] {
        let first = ptr::with_exposed_provenance::<Entry>(ptr::from_ref(self).expose_provenance());
        // SAFETY: `new` is the only place that makes a table, with `capacity` entries after it in the arena. An entry is
        // aligned as a table is, and the size of a table is its alignment. The memory was zeroed, which is valid for an
        // entry, and stays. Later writes go through the entries' atomics.
        unsafe { core::slice::from_raw_parts(first.byte_add(size_of::<Table>()), self.capacity()) }
    }

    /// The entry of a key, or the free one to use for it.
    fn probe(&'static self, key: Key) -> Option<&'static Entry> {
        let entries = self.entries();
        let start = (key.hash() >> 64_u32.wrapping_sub(self.capacity().trailing_zeros())) as usize;
        let found = |entry: &&Entry| [0, key.word()].contains(&entry.key.load(Relaxed));
        entries.get(start..)?.iter().chain(entries).find(found)
    }
}

/// The counters of a thread.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Thread {
    next: AtomicRef<Thread>,
    /// Whether a running thread counts here.
    taken: AtomicBool,
    /// The number of that thread, from 1.
    number: AtomicU64,
    /// How many threads have counted here.
    pub(super) threads: AtomicU64,
    table: AtomicRef<Table>,
    /// Entries of the table with a key.
    used: AtomicU32,
    /// The change in live bytes since the thread last published it.
    bytes: AtomicI64,
    pub(super) allocated: AtomicU64,
    pub(super) freed: AtomicU64,
    pub(super) remote: AtomicU64,
    pub(super) allocated_bytes: AtomicU64,
}

static THREADS: AtomicRef<Thread> = AtomicRef::none();
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);
static KEY: ThreadKey<Thread> = ThreadKey::new();

/// The counters of all threads, running or not.
pub(super) fn all() -> impl Iterator<Item = &'static Thread> {
    core::iter::successors(THREADS.get(), |thread| thread.next.get())
}

/// Creates the thread key of the counters. `end` is called when a thread exits that has some. Called once.
pub(super) fn create_key(end: extern "C" fn(&'static Thread)) {
    KEY.create(end);
}

/// The calling thread's counters, if it has some.
#[inline]
pub(super) fn current() -> Option<&'static Thread> {
    KEY.get()
}

/// Gives the calling thread counters: those of a thread that has exited, or new ones.
#[cold]
pub(super) fn acquire() -> Option<&'static Thread> {
    let vacant = |thread: &&Thread| thread.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok();
    let thread = all().find(vacant).or_else(create)?;
    thread.number.store(NEXT_NUMBER.fetch_add(1, Relaxed), Relaxed);
    add(&thread.threads, 1);
    KEY.set(thread);
    Some(thread)
}

fn create() -> Option<&'static Thread> {
    let thread = arena::zeroed::<Thread>(0)?;
    thread.taken.store(true, Relaxed);
    THREADS.push(thread, |next| thread.next.set(next));
    Some(thread)
}

/// In the child of a fork, where only the calling thread exists: all counters are zero.
pub(super) fn reset() {
    let own = current();
    for thread in all() {
        let is_own = own.is_some_and(|own| ptr::eq(own, thread));
        thread.taken.store(is_own, Relaxed);
        thread.threads.store(is_own.into(), Relaxed);
        thread.bytes.store(0, Relaxed);
        for counter in [&thread.allocated, &thread.freed, &thread.remote, &thread.allocated_bytes] {
            counter.store(0, Relaxed);
        }
        thread.entries().iter().for_each(Entry::reset);
    }
}

// SAFETY: all its fields are atomics.
unsafe impl arena::Zeroed for Thread {}

impl Thread {
    /// Whether a thread of this process has counted here.
    pub(super) fn was_taken(&self) -> bool {
        self.threads.load(Relaxed) > 0
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    pub(super) fn entries(&self) -> &'static [Entry] {
        self.table.get().map_or(&[], Table::entries)
    }

    /// The counters of a request, if the thread has any.
    pub(super) fn find(&self, key: Key) -> Option<&'static Entry> {
        self.table.get()?.probe(key).filter(|entry| entry.key() == Some(key))
    }

    /// The counters of a request. `block` returns the size of the block that serves it, and is only called for new
    /// requests.
    #[inline]
    fn entry(&self, key: Key, block: impl FnOnce() -> usize) -> Option<&'static Entry> {
        match self.find(key) {
            Some(entry) => Some(entry),
            None => self.add_entry(key, block()),
        }
    }

    #[cold]
    fn add_entry(&self, key: Key, block: usize) -> Option<&'static Entry> {
        let request = requests::find_or_add(key, block)?;
        // The key is another one, with a rounded size, if there are too many requests to tell them all apart.
        let key = request.key()?;
        if let Some(known) = self.find(key) {
            return Some(known);
        }
        let used = self.used.load(Relaxed);
        if used as usize >= self.entries().len() / 4 * 3 {
            self.grow()?;
        }
        let entry = self.table.get()?.probe(key)?;
        entry.request.set(Some(request));
        entry.key.store(key.word(), Release);
        self.used.store(used.wrapping_add(1), Relaxed);
        Some(entry)
    }

    /// Doubles the table. The old one is not unmapped, since another thread may be reading it to write the profile.
    fn grow(&self) -> Option<()> {
        let old = self.entries();
        let table = Table::new(old.len().wrapping_mul(2).max(FIRST_CAPACITY))?;
        for entry in old {
            if let Some(key) = entry.key() {
                table.probe(key)?.copy_from(entry);
            }
        }
        self.table.set(Some(table));
        Some(())
    }

    /// Adds to the live blocks of an entry, and to the live bytes.
    fn add_live(&self, entry: &Entry, count: i64, bytes: i64) {
        entry.add_live(count);
        self.bytes.store(self.bytes.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Takes the change in live bytes, to be published, if it amounts to a batch.
    #[inline]
    pub(super) fn take_batch(&self) -> Option<i64> {
        let is_full = self.bytes.load(Relaxed).abs() >= BYTES_BATCH;
        is_full.then(|| self.take_bytes())
    }

    fn take_bytes(&self) -> i64 {
        let bytes = self.bytes.load(Relaxed);
        self.bytes.store(0, Relaxed);
        bytes
    }

    #[inline]
    pub(super) fn count_allocation(&self, key: Key, size: usize, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        add(&entry.allocated, 1);
        add(&self.allocated, 1);
        add(&self.allocated_bytes, size as u64);
        self.add_live(entry, 1, size as i64);
    }

    /// Counts a free of a block that existed for `lifetime` nanoseconds and was allocated by the thread with this
    /// number.
    #[inline]
    pub(super) fn count_free(
        &self,
        key: Key,
        size: usize,
        lifetime: u64,
        allocated_by: u64,
        block: impl FnOnce() -> usize,
    ) {
        let Some(entry) = self.entry(key, block) else { return };
        add(&entry.freed, 1);
        add(&self.freed, 1);
        if allocated_by != self.number() {
            add(&entry.remote, 1);
            add(&self.remote, 1);
        }
        let bucket = (lifetime | 1).ilog2().saturating_sub(SHORTEST) as usize;
        if let Some(count) = entry.lifetimes.get(bucket.min(LIFETIMES.wrapping_sub(1))) {
            count.store(count.load(Relaxed).saturating_add(1), Relaxed);
        }
        self.add_live(entry, -1, (size as i64).wrapping_neg());
    }

    /// Counts the old size of a reallocation.
    pub(super) fn count_resize_from(&self, key: Key, size: usize, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        add(&entry.grown_from, 1);
        self.add_live(entry, -1, (size as i64).wrapping_neg());
    }

    /// Counts the new size of a reallocation.
    pub(super) fn count_resize_to(&self, key: Key, size: usize, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        add(&entry.grown_to, 1);
        self.add_live(entry, 1, size as i64);
    }

    /// When the thread exits: publishes its live blocks, and takes the change in live bytes, to be published.
    pub(super) fn publish(&self) -> i64 {
        self.entries().iter().for_each(Entry::publish);
        self.take_bytes()
    }

    /// Frees the counters for another thread.
    pub(super) fn vacate(&self) {
        self.taken.store(false, Release);
    }
}
