//! Model of how a worker falls asleep and is woken: no wish stays behind while it sleeps. The protocol under test is the
//! product's own code, on loom's atomics; the variant that does not look again must fail.

use hakmem_runtime::protocol::{Word, fall_asleep, wake};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// loom's atomic as the protocol's word. loom takes an access that is `SeqCst` for one that is not; between two fences, which
/// it knows, it is one.
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

/// A thread wishes for something while the worker is on its way to sleep, and for something else after that.
fn two_wishes(looks_again: bool) {
    loom::model(move || {
        let state = Arc::new(LoomWord(AtomicU64::new(AWAKE)));
        let wish = Arc::new(AtomicBool::new(false));
        let wisher = {
            let (state, wish) = (Arc::clone(&state), Arc::clone(&wish));
            thread::spawn(move || {
                [(); 2].map(|()| {
                    ordered(|| wish.store(true, Ordering::SeqCst));
                    wake(&*state)
                })
            })
        };
        let serve = || ordered(|| wish.swap(false, Ordering::SeqCst));
        let asleep = fall_asleep(&*state, || looks_again && serve());
        let woken = wisher.join().unwrap();
        // All is said. A worker that sleeps on has nothing left to do; one that does not will look.
        let sleeps_on = asleep && state.load(Ordering::SeqCst) != AWAKE;
        assert!(!(sleeps_on && wish.load(Ordering::SeqCst)), "asleep beside a wish");
        assert!(woken != [true, true], "woken twice from one sleep");
    });
}

#[test]
fn no_wish_is_slept_through() {
    two_wishes(true);
}

#[test]
#[should_panic(expected = "asleep beside a wish")]
fn not_looking_again_is_caught() {
    two_wishes(false);
}

#[test]
fn the_end_is_not_undone() {
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
