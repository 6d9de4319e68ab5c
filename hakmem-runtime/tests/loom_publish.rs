//! Model of the publication of a page-map leaf: several threads make one, one of them wins, and every reader sees it
//! complete. The code under test is the allocator's own, on loom's atomics; the variant without orderings must fail.

use hakmem_runtime::protocol::{Word, publish_once};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// loom's atomic as the protocol's word; `ORDERED` false forgets every ordering.
struct LoomWord<const ORDERED: bool>(AtomicU64);

fn order<const ORDERED: bool>(order: Ordering) -> Ordering {
    if ORDERED { order } else { Ordering::Relaxed }
}

impl<const ORDERED: bool> Word for LoomWord<ORDERED> {
    fn load(&self, with: Ordering) -> u64 {
        self.0.load(order::<ORDERED>(with))
    }
    fn store(&self, value: u64, with: Ordering) {
        self.0.store(value, order::<ORDERED>(with));
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new, order::<ORDERED>(success), order::<ORDERED>(failure))
    }
}

/// Two threads publish leaf 1 and leaf 2, each of which writes to its leaf before.
fn two_makers<const ORDERED: bool>() {
    loom::model(|| {
        let shared = Arc::new((
            LoomWord::<ORDERED>(AtomicU64::new(0)),
            [UnsafeCell::new(0_u32), UnsafeCell::new(0), UnsafeCell::new(0)],
        ));
        let publish = |shared: &(LoomWord<ORDERED>, [UnsafeCell<u32>; 3]), mine: u64| {
            let found = publish_once(&shared.0, || {
                // SAFETY: nobody else uses the leaf before it is published. If the protocol is wrong, loom reports the
                // race and fails the test.
                shared.1[mine as usize].with_mut(|leaf| unsafe { *leaf = 7 });
                mine
            });
            let found = found.expect("both threads make a leaf");
            // SAFETY: a published leaf is not written to any more. If the protocol is wrong, loom reports the race and
            // fails the test.
            shared.1[found as usize].with(|leaf| assert_eq!(unsafe { *leaf }, 7, "a leaf seen before it was written"));
            found
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || publish(&shared, 1))
        };
        thread::yield_now(); // Otherwise the model may never run the other thread first.
        let mine = publish(&shared, 2);
        assert_eq!(mine, other.join().unwrap(), "the threads disagree on the winner");
    });
}

#[test]
fn one_leaf_wins_and_is_seen_complete() {
    two_makers::<true>();
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent read and write accesses")]
fn missing_orderings_are_caught() {
    two_makers::<false>();
}

#[test]
fn no_memory_is_no_leaf() {
    loom::model(|| {
        let word = LoomWord::<true>(AtomicU64::new(0));
        assert_eq!(publish_once(&word, || 0), None);
        assert_eq!(publish_once(&word, || 3), Some(3));
        assert_eq!(publish_once(&word, || 4), Some(3));
    });
}
