//! Model of an extent's state, which is in three places: its record, the exact cache, and the store under its lock. One
//! thread frees a block and allocates again through the cache; another gathers the cache into the store and allocates from
//! there. Whoever gets an extent finds it recorded as free or held, and in the end each record says where its extent is.
//! The cache and the order of the two writes of a free are the allocator's own. The twin writes the record after the
//! cache, and must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{ExactCache, Word};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

const PAGE: usize = 4096;

const USED: u64 = 1;
const HELD: u64 = 2;
const FREE: u64 = 3;

/// Two extents of a page each, at one and two pages. Both are blocks at first.
struct State {
    records: [LoomWord; 2],
    cache: ExactCache<LoomWord, 2>,
    /// The extents in the store.
    store: Mutex<Vec<usize>>,
}

type Free = fn(&State, usize) -> bool;

impl State {
    fn record(&self, extent: usize) -> &LoomWord {
        &self.records[extent - 1]
    }

    /// The extent is a block now.
    fn hand_out(&self, extent: usize) -> usize {
        assert_ne!(self.record(extent).load(Ordering::Relaxed), USED, "an extent in use is handed out");
        self.record(extent).store(USED, Ordering::Relaxed);
        extent
    }

    /// An extent from the cache; 0 if there is none.
    fn take_exact(&self) -> usize {
        let extent = self.cache.take(PAGE, PAGE) / PAGE;
        if extent == 0 { 0 } else { self.hand_out(extent) }
    }

    /// Moves the cache's extents to the store.
    fn gather(&self) {
        while let Some((address, _)) = self.cache.take_any() {
            let mut store = self.store.lock().unwrap();
            self.record(address / PAGE).store(FREE, Ordering::Relaxed);
            store.push(address / PAGE);
        }
    }

    /// An extent from the store; 0 if there is none.
    fn take(&self) -> usize {
        let taken = self.store.lock().unwrap().pop();
        taken.map_or(0, |extent| self.hand_out(extent))
    }
}

fn free(state: &State, extent: usize) -> bool {
    state.cache.put_block(state.record(extent), HELD, extent * PAGE, PAGE)
}

fn free_the_other_way_round(state: &State, extent: usize) -> bool {
    let put = state.cache.put(extent * PAGE, PAGE);
    state.record(extent).store(HELD, Ordering::Relaxed);
    put
}

fn free_and_allocate(free: Free) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let word = || LoomWord(AtomicU64::new(0));
        let state = Arc::new(State {
            records: [LoomWord(AtomicU64::new(USED)), LoomWord(AtomicU64::new(USED))],
            cache: ExactCache::new(word),
            store: Mutex::new(Vec::new()),
        });
        let other = {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                assert!(free(&state, 1));
                state.take_exact()
            })
        };
        assert!(free(&state, 2));
        state.gather();
        let mine = state.take();
        let theirs = other.join().unwrap();
        assert!(mine == 0 || mine != theirs, "an extent has two owners");
        let held = [state.cache.take(PAGE, PAGE) / PAGE, state.cache.take(PAGE, PAGE) / PAGE];
        let store = state.store.lock().unwrap();
        for extent in [1, 2] {
            let places = [mine == extent || theirs == extent, held.contains(&extent), store.contains(&extent)];
            assert_eq!(places.iter().filter(|&&place| place).count(), 1, "an extent is lost or in two places");
            let expected =
                [USED, HELD, FREE].into_iter().zip(places).find(|(_, place)| *place).map(|(record, _)| record);
            assert_eq!(Some(state.record(extent).load(Ordering::Relaxed)), expected);
        }
    });
}

#[test]
fn records_say_where_extents_are() {
    free_and_allocate(free);
}

#[test]
#[should_panic]
fn a_record_that_is_written_after_the_cache_is_caught() {
    free_and_allocate(free_the_other_way_round);
}
