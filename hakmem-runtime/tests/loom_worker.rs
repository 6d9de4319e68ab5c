//! Model of how a worker falls asleep and is woken: it never sleeps while there is a request. The code under test is
//! the allocator's own, on loom's atomics; the variant that does not look again must fail.

use hakmem_runtime::protocol::{Word, fall_asleep, wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// loom's atomic as the protocol's word. loom treats `SeqCst` accesses as weaker ones, but knows `SeqCst` fences:
/// between two of them an access is as strong as it should be.
struct LoomWord(AtomicU64);

fn ordered<T>(access: impl FnOnce() -> T) -> T {
    fence(Ordering::SeqCst);
    let result = access();
    fence(Ordering::SeqCst);
    result
}

impl Word for LoomWord {
    fn load(&self, order: Ordering) -> u64 {
        ordered(|| self.0.load(order))
    }
    fn store(&self, value: u64, order: Ordering) {
        ordered(|| self.0.store(value, order));
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        ordered(|| self.0.compare_exchange_weak(old, new, success, failure))
    }
}

const AWAKE: u64 = 1;
const STOPPED: u64 = 3;

/// A thread makes a request while the worker is about to sleep, and another one after that.
fn two_requests(looks_again: bool) {
    loom::model(move || {
        let state = Arc::new(LoomWord(AtomicU64::new(AWAKE)));
        let request = Arc::new(AtomicBool::new(false));
        let requester = {
            let (state, request) = (Arc::clone(&state), Arc::clone(&request));
            thread::spawn(move || {
                [(); 2].map(|()| {
                    ordered(|| request.store(true, Ordering::SeqCst));
                    wake(&*state)
                })
            })
        };
        let serve = || ordered(|| request.swap(false, Ordering::SeqCst));
        let asleep = fall_asleep(&*state, || looks_again && serve());
        let woken = requester.join().unwrap();
        // No more requests follow. A worker that stays asleep must have nothing to do; one that does not will look.
        let stays_asleep = asleep && state.load(Ordering::SeqCst) != AWAKE;
        assert!(!(stays_asleep && request.load(Ordering::SeqCst)), "asleep despite a request");
        assert!(woken != [true, true], "woken twice from one sleep");
    });
}

#[test]
fn no_request_is_missed() {
    two_requests(true);
}

#[test]
#[should_panic(expected = "asleep despite a request")]
fn not_looking_again_is_caught() {
    two_requests(false);
}

#[test]
fn a_stopped_worker_stays_stopped() {
    loom::model(|| {
        let state = Arc::new(LoomWord(AtomicU64::new(AWAKE)));
        let other = Arc::clone(&state);
        let exit = thread::spawn(move || ordered(|| other.0.swap(STOPPED, Ordering::SeqCst)));
        fall_asleep(&*state, || true);
        wake(&*state);
        exit.join().unwrap();
        assert_eq!(state.load(Ordering::SeqCst), STOPPED);
    });
}
