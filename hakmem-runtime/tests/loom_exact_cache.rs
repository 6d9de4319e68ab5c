//! Model of the exact cache: threads put and take ranges, and no range has two owners. The code under test is the
//! allocator's own, on loom's atomics; the variant whose exchange is not atomic must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{ExactCache, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const GRANULE: usize = 2 << 20;
const LENGTH: usize = 1 << 20;

/// A range's owner writes to its cell in `owned`, so loom reports two owners, or one that does not see what the last
/// one wrote, as a data race.
struct Ranges<W> {
    cache: ExactCache<W, 2>,
    owned: [UnsafeCell<u32>; 3],
}

impl<W: Word> Ranges<W> {
    fn touch(&self, range: usize) {
        // SAFETY: the caller believes that it owns the range, so that nobody else is here. If the protocol is wrong
        // about that, loom reports the race and fails the test.
        self.owned[range].with_mut(|times| unsafe { *times += 1 });
    }

    fn put(&self, range: usize) -> bool {
        self.touch(range);
        self.cache.put(range * GRANULE, LENGTH)
    }

    fn take(&self) -> usize {
        let range = self.cache.take(LENGTH, GRANULE) / GRANULE;
        if range != 0 {
            self.touch(range);
        }
        range
    }
}

/// Two threads put in a range each and take one. In the end each range is in one place: with a thread, or in the cache.
fn put_and_take<W: Word + Send + Sync + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let ranges =
            Arc::new(Ranges { cache: ExactCache::new(word), owned: core::array::from_fn(|_| UnsafeCell::new(0)) });
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
        assert!(put && other_put, "there was a free slot");
        let mut all = [mine, theirs, ranges.take(), ranges.take()];
        all.sort_unstable();
        assert_eq!(all, [0, 0, 1, 2], "a range was lost or has two owners");
    });
}

#[test]
fn ranges_have_one_owner() {
    put_and_take(|| LoomWord(AtomicU64::new(0)));
}

/// A word whose exchange is not atomic: a load, then a store.
struct Torn(AtomicU64);

impl Word for Torn {
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
fn an_exchange_that_is_not_atomic_is_caught() {
    put_and_take(|| Torn(AtomicU64::new(0)));
}
