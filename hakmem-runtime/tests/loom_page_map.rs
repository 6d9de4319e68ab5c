//! Model of a segment's state, which is in four places: the kernel's mappings, the page map, the record of its extent, and
//! the cache or the store that has the extent. One thread maps the segment and hands its block out; another one looks the
//! block up and frees it into its cache; a third empties that cache and, if all of the segment is free, unmaps it; a fourth
//! maps memory of its own, perhaps where the segment was, and asks whether that is ours.
//!
//! Whoever has a block finds its segment, whoever looks at a record finds it mapped, and foreign memory is never ours. The
//! page map's changes, the lock and the lists are the allocator's own. The twins: a block that is handed out before its
//! segment is in the page map, a segment that stays there until it is unmapped, and one that is unmapped while its extent is
//! in a cache.

mod common;
#[path = "common/fences.rs"]
mod fences;

use common::LoomWord;
use fences::Both;
use hakmem_runtime::protocol::{BiasedLock, Fences, Lists, Word, publish, retract};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::slice;

const PAGE: usize = 4096;
/// Where the block is.
const BLOCK: usize = 7 * PAGE;

/// The page map's entry of the segment.
const SEGMENT: u64 = 2;

const USED: u64 = 1;
const FREE: u64 = 3;

/// What is mapped at the segment's addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    Nothing,
    Ours,
    Foreign,
}

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twin {
    None,
    HandsOutFirst,
    UnmapsFirst,
    UnmapsCached,
}

struct State {
    twin: Twin,
    /// Under the kernel's lock.
    mapped: Mutex<Mapped>,
    /// The memory there: written to when it is mapped and when it is unmapped, read where its record is used. loom reports
    /// any two of these that are not ordered.
    memory: UnsafeCell<u32>,
    entry: LoomWord,
    record: LoomWord,
    lock: BiasedLock<LoomWord>,
    cache: Lists<LoomWord, 1>,
    /// Whether the extent is in the store.
    store: Mutex<bool>,
    /// How the program passes the block's address from thread to thread; 0: not yet.
    passed: AtomicU64,
}

impl State {
    fn new(twin: Twin) -> State {
        let word = || LoomWord(AtomicU64::new(0));
        State {
            twin,
            mapped: Mutex::new(Mapped::Nothing),
            memory: UnsafeCell::new(0),
            entry: word(),
            record: word(),
            lock: BiasedLock::new(word(), word()),
            cache: Lists::new(word),
            store: Mutex::new(false),
            passed: AtomicU64::new(0),
        }
    }

    /// Changes the mapping, if it is `from`.
    fn remap(&self, from: Mapped, to: Mapped) -> bool {
        let mut mapped = self.mapped.lock().unwrap();
        let done = *mapped == from;
        if done {
            *mapped = to;
            // SAFETY: nobody uses memory that is mapped or unmapped just now. If that is wrong, loom reports the race and
            // fails the test.
            self.memory.with_mut(|memory| unsafe { *memory += 1 });
        }
        done
    }

    /// The record, which is in the segment's memory.
    fn record(&self) -> &LoomWord {
        // SAFETY: the segment is mapped as long as its records are used. If that is wrong, loom reports the race and fails
        // the test.
        self.memory.with(|memory| unsafe { assert_ne!(*memory, 0) });
        &self.record
    }

    fn publish(&self) {
        publish(slice::from_ref(&self.entry).iter(), SEGMENT);
    }

    fn owns(&self) -> bool {
        self.entry.load(Ordering::Relaxed) == SEGMENT
    }

    /// Maps the segment and hands its block out.
    fn allocate(&self) {
        if !self.remap(Mapped::Nothing, Mapped::Ours) {
            return;
        }
        self.record().store(USED, Ordering::Relaxed);
        if self.twin == Twin::HandsOutFirst {
            self.passed.store(BLOCK as u64, Ordering::Release);
        }
        self.publish();
        self.passed.store(BLOCK as u64, Ordering::Release);
    }

    /// Frees the block, if it was passed: into the cache, or into the store if somebody empties that.
    fn free(&self) {
        if self.passed.load(Ordering::Acquire) == 0 {
            return;
        }
        assert!(self.owns(), "a block that the page map does not know");
        assert_eq!(self.record().load(Ordering::Relaxed), USED);
        let open = self.lock.enter::<Both>();
        if open {
            self.cache.put(BLOCK, 1, self.record());
        }
        self.lock.leave();
        if !open {
            self.put();
        }
    }

    /// Puts the extent into the store.
    fn put(&self) {
        let mut store = self.store.lock().unwrap();
        self.record().store(FREE, Ordering::Relaxed);
        *store = true;
    }

    /// Empties the cache, and unmaps the segment if all of it is free then.
    fn release(&self) {
        self.lock.close();
        if Both::heavy() && self.lock.is_left() && self.cache.take_any(|_| Some(self.record())).is_some() {
            if self.twin == Twin::UnmapsCached {
                self.cache.put(BLOCK, 1, self.record());
            }
            self.put();
        }
        self.lock.open();
        let whole = std::mem::replace(&mut *self.store.lock().unwrap(), false);
        if !whole {
            return;
        }
        let unmap = || self.remap(Mapped::Ours, Mapped::Nothing);
        if self.twin == Twin::UnmapsFirst {
            unmap();
            retract(slice::from_ref(&self.entry).iter(), || true);
        } else {
            assert!(retract(slice::from_ref(&self.entry).iter(), unmap));
        }
    }

    /// Allocates from the cache.
    fn take_cached(&self) {
        if self.lock.enter::<Both>() {
            self.cache.take_any(|_| Some(self.record()));
        }
        self.lock.leave();
    }

    /// Maps foreign memory, and asks whether it is ours.
    fn map_foreign(&self) {
        if self.remap(Mapped::Nothing, Mapped::Foreign) {
            assert!(!self.owns(), "foreign memory is taken for ours");
        }
    }
}

fn from_map_to_unmap(twin: Twin) {
    let mut model = loom::model::Builder::new();
    // All twins are found. With 3 it takes twelve times as long.
    model.preemption_bound = Some(2);
    model.check(move || {
        let state = Arc::new(State::new(twin));
        let run = |work: fn(&State)| {
            let state = Arc::clone(&state);
            thread::spawn(move || work(&state))
        };
        let threads = [
            run(|state| {
                state.free();
                state.take_cached();
            }),
            run(State::release),
            run(State::map_foreign),
        ];
        state.allocate();
        for thread in threads {
            thread.join().unwrap();
        }
        // The places agree.
        let ours = *state.mapped.lock().unwrap() == Mapped::Ours;
        assert_eq!(state.owns(), ours, "the page map and the kernel disagree");
    });
}

#[test]
fn a_segment_is_in_the_page_map_as_long_as_it_is_mapped() {
    from_map_to_unmap(Twin::None);
}

#[test]
#[should_panic(expected = "a block that the page map does not know")]
fn a_block_that_is_handed_out_too_early_is_caught() {
    from_map_to_unmap(Twin::HandsOutFirst);
}

#[test]
#[should_panic(expected = "foreign memory is taken for ours")]
fn an_entry_that_stays_too_long_is_caught() {
    from_map_to_unmap(Twin::UnmapsFirst);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent read and write accesses")]
fn a_segment_that_is_unmapped_with_an_extent_in_a_cache_is_caught() {
    from_map_to_unmap(Twin::UnmapsCached);
}
