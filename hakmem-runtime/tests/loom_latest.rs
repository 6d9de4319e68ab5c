//! Model of the ranges freed last: threads that put and take, and no range in two hands. The protocol under test is the
//! product's own code, on loom's atomics; the variant whose exchange does not compare must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{ExactCache, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const GRANULE: usize = 2 << 20;
const LENGTH: usize = 1 << 20;

/// `owned` is written by whoever has the range: loom sees two owners, or one who does not see what the last one did, as a race.
struct Ranges<W> {
    latest: ExactCache<W, 2>,
    owned: [UnsafeCell<u32>; 3],
}

impl<W: Word> Ranges<W> {
    fn touch(&self, range: usize) {
        // SAFETY: whoever has the range is alone with it; where that is not so, loom says so.
        self.owned[range].with_mut(|times| unsafe { *times += 1 });
    }

    fn put(&self, range: usize) -> bool {
        self.touch(range);
        self.latest.put(range * GRANULE, LENGTH)
    }

    fn take(&self) -> usize {
        let range = self.latest.take(LENGTH, GRANULE) / GRANULE;
        if range != 0 {
            self.touch(range);
        }
        range
    }
}

/// Two threads put a range each and take one: both are somewhere at the end, and never in two hands.
fn put_and_take<W: Word + Send + Sync + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let ranges =
            Arc::new(Ranges { latest: ExactCache::new(word), owned: core::array::from_fn(|_| UnsafeCell::new(0)) });
        let other = {
            let ranges = Arc::clone(&ranges);
            thread::spawn(move || {
                let put = ranges.put(1);
                (put, ranges.take())
            })
        };
        let put = ranges.put(2);
        let mine = ranges.take();
        let (other_put, theirs) = other.join().unwrap();
        assert!(put && other_put, "there was a place");
        let mut all = [mine, theirs, ranges.take(), ranges.take()];
        all.sort_unstable();
        assert_eq!(all, [0, 0, 1, 2], "a range was lost or is in two hands");
    });
}

#[test]
fn ranges_have_one_owner() {
    put_and_take(|| LoomWord(AtomicU64::new(0)));
}

/// A word whose exchange does not compare: a load and a store.
struct Blind(AtomicU64);

impl Word for Blind {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        let found = self.0.load(Ordering::Acquire);
        if found != old {
            return Err(found);
        }
        self.0.store(new, Ordering::Release);
        Ok(old)
    }
}

#[test]
#[should_panic]
fn without_a_comparison_they_have_not() {
    put_and_take(|| Blind(AtomicU64::new(0)));
}
