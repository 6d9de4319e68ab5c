//! A thread's own counters.
//!
//! They are never taken down: a thread that ends leaves its place to the next one, which counts on. So the sums of all
//! places are those of all threads there ever were.

use super::requests::{self, BATCH, Key, Request};
use super::{start, timeline};
use crate::meta::arena;
use crate::sys::mmap;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};

/// Lifetimes from 2⁷ nanoseconds, by powers of two: to two minutes and more.
pub(super) const LIFETIMES: usize = 32;
pub(super) const SHORTEST: u32 = 7;

/// Bytes by which a thread's live bytes may differ from what it has told.
const BYTES_BATCH: i64 = 1024;

/// The entries of a thread's first table: a power of two.
const FIRST_CAPACITY: usize = 256;

/// Adds to a counter that only the calling thread writes.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

/// The counters of one (size, alignment).
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    key: AtomicU64,
    request: AtomicPtr<Request>,
    /// Blocks since the thread last told, and the most of them.
    delta: AtomicI64,
    high: AtomicI64,
    pub(super) allocated: AtomicU64,
    pub(super) freed: AtomicU64,
    /// Of `freed`, those that another thread had allocated.
    pub(super) remote: AtomicU64,
    /// Reallocations that came here from another size, and that left for another.
    pub(super) grown_from: AtomicU64,
    pub(super) grown_to: AtomicU64,
    pub(super) lifetimes: [AtomicU32; LIFETIMES],
}

impl Entry {
    pub(super) fn key(&self) -> Option<Key> {
        Key::from_word(self.key.load(Relaxed))
    }

    pub(super) fn request(&self) -> Option<&'static Request> {
        // SAFETY: null, or one of those that stay for ever.
        unsafe { self.request.load(Acquire).as_ref() }
    }

    /// Blocks that this thread added to those alive; less than 0 where it frees what others allocate.
    pub(super) fn live(&self) -> i64 {
        let (came, left) = (&self.allocated, &self.freed);
        let came = came.load(Relaxed).wrapping_add(self.grown_to.load(Relaxed));
        came.wrapping_sub(left.load(Relaxed).wrapping_add(self.grown_from.load(Relaxed))) as i64
    }

    /// What of the peak the thread has not told yet.
    pub(super) fn high(&self) -> i64 {
        self.high.load(Relaxed)
    }

    fn moved(&self, by: i64) {
        let delta = self.delta.load(Relaxed).wrapping_add(by);
        self.delta.store(delta, Relaxed);
        if delta > self.high.load(Relaxed) {
            self.high.store(delta, Relaxed);
        }
        if delta.abs() >= BATCH {
            self.tell();
        }
    }

    fn forget(&self) {
        for counter in [&self.delta, &self.high] {
            counter.store(0, Relaxed);
        }
        for counter in [&self.allocated, &self.freed, &self.remote, &self.grown_from, &self.grown_to] {
            counter.store(0, Relaxed);
        }
        self.lifetimes.iter().for_each(|count| count.store(0, Relaxed));
    }

    fn tell(&self) {
        if let Some(request) = self.request() {
            request.add(self.delta.load(Relaxed), self.high.load(Relaxed));
        }
        self.delta.store(0, Relaxed);
        self.high.store(0, Relaxed);
    }
}

/// A hash table of entries: its capacity, then as many entries.
#[derive(Debug)]
#[repr(C, align(64))]
struct Table {
    /// How far to shift a hash to the right for a place.
    shift: u32,
    capacity: usize,
}

impl Table {
    fn new(capacity: usize) -> *mut Table {
        let bytes = size_of::<Table>().wrapping_add(capacity.wrapping_mul(size_of::<Entry>()));
        let address = mmap::map(
            mmap::round_up(bytes, mmap::page_size()).unwrap_or(bytes),
            mmap::page_size(),
            mmap::Access::ReadWrite,
        );
        let table = ptr::with_exposed_provenance_mut::<Table>(address);
        if !table.is_null() {
            let shift = 64_u32.wrapping_sub(capacity.trailing_zeros());
            // SAFETY: a new mapping, long enough, aligned to a page.
            unsafe { table.write(Table { shift, capacity }) };
        }
        table
    }

    fn entries(&self) -> &[Entry] {
        let first = ptr::from_ref(self).wrapping_add(1).cast();
        // SAFETY: as many entries follow the table in its mapping, which is never unmapped; zero is a valid one, and all
        // their fields are atomics.
        unsafe { core::slice::from_raw_parts(first, self.capacity) }
    }

    /// The entry of a key, or the free one where it belongs.
    fn place(&self, key: Key) -> Option<&Entry> {
        let (entries, start) = (self.entries(), (key.hash() >> self.shift) as usize);
        let found = |entry: &&Entry| [0, key.word()].contains(&entry.key.load(Relaxed));
        entries.get(start..)?.iter().chain(entries).find(found)
    }
}

/// A thread's place.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Thread {
    next: AtomicPtr<Thread>,
    taken: AtomicBool,
    /// The number of the thread that is here, from 1, and how many were here.
    number: AtomicU64,
    pub(super) threads: AtomicU64,
    table: AtomicPtr<Table>,
    used: AtomicU32,
    /// Live bytes since the thread last told.
    bytes: AtomicI64,
    pub(super) allocated: AtomicU64,
    pub(super) freed: AtomicU64,
    pub(super) remote: AtomicU64,
    pub(super) allocated_bytes: AtomicU64,
}

static THREADS: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// Every place there is.
pub(super) fn all() -> impl Iterator<Item = &'static Thread> {
    // SAFETY: null, or one of those that stay for ever.
    let next = |pointer: &AtomicPtr<Thread>| unsafe { pointer.load(Acquire).as_ref() };
    core::iter::successors(next(&THREADS), move |thread| next(&thread.next))
}

/// The calling thread's place. `None`: there is no memory for it, and nothing is recorded.
#[inline]
pub(super) fn current() -> Option<&'static Thread> {
    let place = start::thread_place();
    // SAFETY: null, or what `take` put there.
    unsafe { place.cast::<Thread>().as_ref() }.or_else(take)
}

/// Takes a place that is free, or a new one.
#[cold]
fn take() -> Option<&'static Thread> {
    start::once();
    let free = |thread: &&Thread| thread.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok();
    let thread = all().find(free).or_else(create)?;
    thread.number.store(NEXT_NUMBER.fetch_add(1, Relaxed), Relaxed);
    bump(&thread.threads);
    start::set_thread_place(ptr::from_ref(thread).cast_mut().cast());
    Some(thread)
}

/// Sets all counters to zero, in the child of a fork: of the threads there is only the calling one.
pub(super) fn forget() {
    let own = start::thread_place().cast::<Thread>();
    for thread in all() {
        let here = core::ptr::eq(thread, own);
        thread.taken.store(here, Relaxed);
        thread.threads.store(here.into(), Relaxed);
        thread.bytes.store(0, Relaxed);
        for counter in [&thread.allocated, &thread.freed, &thread.remote, &thread.allocated_bytes] {
            counter.store(0, Relaxed);
        }
        thread.entries().iter().for_each(Entry::forget);
    }
}

fn create() -> Option<&'static Thread> {
    let thread = ptr::with_exposed_provenance_mut::<Thread>(arena::allocate(size_of::<Thread>()));
    // SAFETY: null, or zeroed memory of the arena, which is a valid place; it stays.
    let new = unsafe { thread.as_ref() }?;
    new.taken.store(true, Relaxed);
    let mut newest = THREADS.load(Relaxed);
    loop {
        new.next.store(newest, Relaxed);
        match THREADS.compare_exchange_weak(newest, thread, Release, Relaxed) {
            Ok(_) => return Some(new),
            Err(other) => newest = other,
        }
    }
}

impl Thread {
    /// Whether any thread of this process was here.
    pub(super) fn was_taken(&self) -> bool {
        self.threads.load(Relaxed) > 0
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        // SAFETY: null, or a table that stays.
        unsafe { self.table.load(Acquire).as_ref() }.map_or(&[], Table::entries)
    }

    /// The counters of a request, if the thread has met it.
    pub(super) fn find(&self, key: Key) -> Option<&Entry> {
        // SAFETY: as above.
        unsafe { self.table.load(Acquire).as_ref() }?.place(key).filter(|entry| entry.key() == Some(key))
    }

    /// The counters of a request; `block` says what serves it, if that is not known yet.
    #[inline]
    fn entry(&self, key: Key, block: impl FnOnce() -> usize) -> Option<&Entry> {
        match self.find(key) {
            Some(entry) => Some(entry),
            None => self.enter(key, block()),
        }
    }

    #[cold]
    fn enter(&self, key: Key, block: usize) -> Option<&Entry> {
        let request = requests::find(key, block)?;
        // With all kinds taken, another key stands for this one.
        let key = request.key()?;
        if let Some(known) = self.find(key) {
            return Some(known);
        }
        let used = self.used.load(Relaxed);
        if used as usize >= self.entries().len() / 4 * 3 && !self.grow() {
            return None;
        }
        // SAFETY: `grow` made one if there was none.
        let entry = unsafe { self.table.load(Relaxed).as_ref() }?.place(key)?;
        entry.request.store(ptr::from_ref(request).cast_mut(), Release);
        entry.key.store(key.word(), Release);
        self.used.store(used.wrapping_add(1), Relaxed);
        Some(entry)
    }

    /// Twice the table. The old one stays: whoever writes the profile may be reading it.
    fn grow(&self) -> bool {
        let old = self.entries();
        let table = Table::new(old.len().wrapping_mul(2).max(FIRST_CAPACITY));
        // SAFETY: null, or made just now.
        let Some(new) = (unsafe { table.as_ref() }) else { return false };
        for entry in old {
            if let Some(key) = entry.key()
                && let Some(place) = new.place(key)
            {
                // SAFETY: nobody knows the new table yet; the old entry is only written by this thread.
                unsafe { ptr::copy_nonoverlapping(ptr::from_ref(entry), ptr::from_ref(place).cast_mut(), 1) };
            }
        }
        self.table.store(table, Release);
        true
    }

    fn moved(&self, entry: &Entry, by: i64, bytes: i64) {
        entry.moved(by);
        let bytes = self.bytes.load(Relaxed).wrapping_add(bytes);
        self.bytes.store(bytes, Relaxed);
        if bytes.abs() >= BYTES_BATCH {
            self.tell_bytes();
        }
    }

    fn tell_bytes(&self) {
        let bytes = self.bytes.load(Relaxed);
        self.bytes.store(0, Relaxed);
        timeline::moved(bytes);
    }

    /// An allocation.
    #[inline]
    pub(super) fn allocation(&self, key: Key, size: usize, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        bump(&entry.allocated);
        bump(&self.allocated);
        self.allocated_bytes.store(self.allocated_bytes.load(Relaxed).wrapping_add(size as u64), Relaxed);
        self.moved(entry, 1, size as i64);
    }

    /// A free of a block that lived for so many nanoseconds, and that thread number `from` allocated.
    #[inline]
    pub(super) fn free(&self, key: Key, size: usize, lifetime: u64, from: u64, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        bump(&entry.freed);
        bump(&self.freed);
        if from != self.number() {
            bump(&entry.remote);
            bump(&self.remote);
        }
        let bucket = (lifetime | 1).ilog2().saturating_sub(SHORTEST) as usize;
        if let Some(count) = entry.lifetimes.get(bucket.min(LIFETIMES.wrapping_sub(1))) {
            count.store(count.load(Relaxed).saturating_add(1), Relaxed);
        }
        self.moved(entry, -1, (size as i64).wrapping_neg());
    }

    /// A block that became one of another size.
    pub(super) fn step(&self, key: Key, to: bool, size: usize, block: impl FnOnce() -> usize) {
        let Some(entry) = self.entry(key, block) else { return };
        if to {
            bump(&entry.grown_to);
            self.moved(entry, 1, size as i64);
        } else {
            bump(&entry.grown_from);
            self.moved(entry, -1, (size as i64).wrapping_neg());
        }
    }

    /// At the end of the thread: tells what it has not told, and leaves the place.
    pub(super) fn leave(&self) {
        self.entries().iter().for_each(Entry::tell);
        self.tell_bytes();
        self.taken.store(false, Release);
    }
}
