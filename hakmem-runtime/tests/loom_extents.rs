//! Model of an extent's state, which is in three places: its record, a thread's cache, and the store under its lock. The
//! cache's owner frees a block and allocates again through the cache; another thread empties the cache into the store and
//! allocates from there. Only one of the two is ever in the lists, whoever gets an extent finds it recorded as free, and in the
//! end each record says where its extent is.
//!
//! The lock and the lists are the allocator's own. `membarrier`, which has every thread execute a fence, is one in each. The
//! twins: an owner without a fence, another thread without one, and one that does not look whether the owner is inside.

mod common;
#[path = "common/fences.rs"]
mod fences;

use common::LoomWord;
use fences::Both;
use hakmem_runtime::protocol::{BiasedLock, Fences, Lists, Word};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::iter;

const PAGE: usize = 4096;

const USED: u64 = 1;
const FREE: u64 = 3;

/// The kind of a listed extent in its record.
const LISTED: u64 = 6;

struct NoLight;

impl Fences for NoLight {
    fn light() {}
    fn heavy() -> bool {
        Both::heavy()
    }
}

struct NoHeavy;

impl Fences for NoHeavy {
    fn light() {
        Both::light();
    }
    fn heavy() -> bool {
        true
    }
}

/// Two extents of a page each, at one and two pages. Both are blocks at first.
struct State {
    records: [LoomWord; 2],
    lock: BiasedLock<LoomWord>,
    lists: Lists<LoomWord, 1>,
    /// Whoever is in the lists writes here: loom reports two who are there at once, or one that does not see what the last
    /// one did.
    inside: UnsafeCell<u32>,
    /// The extents in the store.
    store: Mutex<Vec<usize>>,
}

impl State {
    fn record(&self, extent: usize) -> &LoomWord {
        &self.records[extent - 1]
    }

    fn in_lists<R>(&self, work: impl FnOnce(&Lists<LoomWord, 1>) -> R) -> R {
        // SAFETY: the caller believes that nobody else is here. If the protocol is wrong about that, loom reports the race
        // and fails the test.
        self.inside.with_mut(|times| unsafe { *times += 1 });
        work(&self.lists)
    }

    /// The extent is a block now.
    fn hand_out(&self, extent: usize) -> usize {
        assert_ne!(self.record(extent).load(Ordering::Relaxed), USED, "an extent in use is handed out");
        self.record(extent).store(USED, Ordering::Relaxed);
        extent
    }

    /// The owner frees a block.
    fn free<F: Fences>(&self, extent: usize) {
        let open = self.lock.enter::<F>();
        if open {
            self.in_lists(|lists| lists.put(extent * PAGE, 1, self.record(extent)));
        }
        self.lock.leave();
        if !open {
            let mut store = self.store.lock().unwrap();
            self.record(extent).store(FREE, Ordering::Relaxed);
            store.push(extent);
        }
    }

    /// The owner allocates from the cache; 0 if there is nothing.
    fn take_cached<F: Fences>(&self) -> usize {
        let take = || self.in_lists(|lists| lists.take(1, PAGE, |address| Some(self.record(address / PAGE))));
        let taken = if self.lock.enter::<F>() { take() } else { None };
        self.lock.leave();
        taken.map_or(0, |taken| self.hand_out(taken.address / PAGE))
    }

    /// Another thread moves the cache's extents to the store.
    fn empty<F: Fences>(&self, looks: bool) {
        self.lock.close();
        let fenced = F::heavy();
        if fenced && (self.lock.is_left() || !looks) {
            let take = || self.in_lists(|lists| lists.take_any(|address| Some(self.record(address / PAGE))));
            if let Some(first) = take() {
                // Those that follow are taken out under the store's lock, as they are put there together.
                let mut store = self.store.lock().unwrap();
                for taken in iter::successors(Some(first), |_| take()) {
                    self.record(taken.address / PAGE).store(FREE, Ordering::Relaxed);
                    store.push(taken.address / PAGE);
                }
            }
        }
        self.lock.open();
    }

    /// An extent from the store; 0 if there is none.
    fn take(&self) -> usize {
        let taken = self.store.lock().unwrap().pop();
        taken.map_or(0, |extent| self.hand_out(extent))
    }
}

fn free_and_allocate<F: Fences + 'static>(looks: bool) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let word = || LoomWord(AtomicU64::new(0));
        let state = Arc::new(State {
            records: [LoomWord(AtomicU64::new(USED)), LoomWord(AtomicU64::new(USED))],
            lock: BiasedLock::new(word(), word()),
            lists: Lists::new(word),
            inside: UnsafeCell::new(0),
            store: Mutex::new(Vec::new()),
        });
        let other = {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                state.empty::<F>(looks);
                state.take()
            })
        };
        state.free::<F>(1);
        state.free::<F>(2);
        let mine = state.take_cached::<F>();
        let theirs = other.join().unwrap();
        assert!(mine == 0 || mine != theirs, "an extent has two owners");
        let mut cached = Vec::new();
        while let Some(taken) = state.lists.take_any(|address| Some(state.record(address / PAGE))) {
            cached.push(taken.address / PAGE);
        }
        let store = state.store.lock().unwrap();
        for extent in [1, 2] {
            let used = mine == extent || theirs == extent;
            let places = [used, cached.contains(&extent), store.contains(&extent)];
            assert_eq!(places.iter().filter(|&&place| place).count(), 1, "an extent is lost or in two places");
            let record = state.record(extent).load(Ordering::Relaxed);
            assert_eq!([record == USED, record & 7 == LISTED, record == FREE], places);
        }
    });
}

#[test]
fn records_say_where_extents_are() {
    free_and_allocate::<Both>(true);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn an_owner_without_a_fence_is_caught() {
    free_and_allocate::<NoLight>(true);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn another_thread_without_a_fence_is_caught() {
    free_and_allocate::<NoHeavy>(true);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn another_thread_that_does_not_look_is_caught() {
    free_and_allocate::<Both>(false);
}
