//! `refill = "background"`: the worker begins with the first miss, serves, sleeps when nothing is wanted, and is no hindrance
//! to a fork or to the end of the program.

use crate::blocks::{Piece, Random, blocks_live, layout, pieces, subjects};
use crate::faults::{self, Refused};
use crate::forks::{fork, reap, watchdog};
use crate::rerun::isolated;
use crate::workers::{ends, eventually, state_and_ticks, tasks};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

mod queued {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            refill = "background"
            unified = { capacity = 8 }
            sll = { high_water = 512 }
            batch = 8

            [[class]]
            sizes = { from = 16, to = 512, step = 16 }

            [[class]]
            sizes = [768, 1024]
            layers = ["ring"]
            ring = { capacity = 8 }
        }
    }
}

/// With a worker of its own.
mod other {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["fast"]
            refill = "background"
        }
    }
}

/// With a class whose first miss asks no worker.
mod mixed {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 16

            [[class]]
            size = 64
            refill = "background"
        }
    }
}

subjects!(queued::Heap, other::Heap, mixed::Heap);

type Heap = queued::Heap;

#[test]
fn the_worker_begins_with_a_miss_and_sleeps_when_idle() {
    isolated("the_worker_begins_with_a_miss_and_sleeps_when_idle", || {
        let before = tasks();
        Heap::purge();
        assert!(!Heap::owns(std::ptr::null()) && Heap::stats().to_string().len() > 1);
        assert_eq!(tasks(), before, "a worker without a miss");
        let mut set = pieces::<Heap>(64, 1);
        let workers: Vec<String> = tasks().difference(&before).cloned().collect();
        let [worker] = &workers[..] else { panic!("one worker was expected: {workers:?}") };
        // For good: not before something is asked for again does it take processor time.
        eventually("300 ms of sleep", || {
            let (state, ticks) = state_and_ticks(worker);
            thread::sleep(Duration::from_millis(300));
            let (state_later, later) = state_and_ticks(worker);
            (state, state_later) == ('S', 'S') && later - ticks <= 1
        });
        // It wakes, and sleeps again; one is enough for all classes and threads.
        thread::scope(|scope| {
            for size in 1..=4 {
                scope.spawn(move || drop(pieces::<Heap>(size * 100, 5000)));
            }
        });
        set.extend(pieces(64, 1000));
        eventually("the others are gone", || tasks().difference(&before).count() == 1);
        eventually("the worker sleeps", || state_and_ticks(worker).0 == 'S');
        // Another allocator has another.
        drop(pieces::<other::Heap>(64, 100));
        assert_eq!(tasks().difference(&before).count(), 2);
    });
}

fn limit_address_space(bytes: libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a place for the result, and then a value.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limit), 0);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
    }
}

#[test]
fn without_a_thread_to_be_had_every_miss_goes_to_the_slabs() {
    isolated("without_a_thread_to_be_had_every_miss_goes_to_the_slabs", || {
        let (before, mut set) = (tasks(), Vec::with_capacity(1000));
        set.extend(pieces::<mixed::Heap>(16, 1));
        // No address space for a stack; slabs come from what is there already.
        limit_address_space(1);
        let size = layout(64);
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = 77 };
        for _ in 0..500 {
            set.push(Piece::new(size, 1, false));
        }
        // SAFETY: as above.
        let errno = unsafe { *libc::__errno_location() };
        limit_address_space(libc::RLIM_INFINITY);
        assert_eq!(errno, 77, "an allocation that succeeds does not show in errno");
        set.extend(pieces(64, 500));
        assert_eq!(tasks(), before, "it is not tried again");
    });
}

#[test]
fn misses_are_served_from_what_the_worker_prepared() {
    isolated("misses_are_served_from_what_the_worker_prepared", || {
        let slab = |piece: &Piece<Heap>| piece.address() >> 16;
        let mut set = pieces::<Heap>(64, 1);
        let own = slab(&set[0]);
        // A slab holds 1024; the first batches are of this thread's, the later ones of the worker's.
        eventually("the worker's batches come", || {
            Heap::stats().to_string().contains("     64 ") && blocks_live::<Heap>() > 32
        });
        set.extend(pieces(64, 40));
        let foreign = set.iter().filter(|piece| slab(piece) != own).count();
        assert!(foreign >= 32, "{foreign} of 41 from the worker's slab");
        // They are as good as others: freed, they go home.
        drop(set);
        eventually("no block is left", || {
            Heap::purge();
            blocks_live::<Heap>() == 0
        });
    });
}

#[test]
fn a_worker_that_may_not_sleep_pauses() {
    isolated("a_worker_that_may_not_sleep_pauses", || {
        faults::prepare();
        // With this one the worker's calls count.
        faults::count_this_thread();
        let before = tasks();
        let mut set = pieces::<Heap>(64, 100);
        let workers: Vec<String> = tasks().difference(&before).cloned().collect();
        let [worker] = &workers[..] else { panic!("one worker was expected: {workers:?}") };
        eventually("the worker sleeps", || state_and_ticks(worker).0 == 'S');
        faults::start(Refused::UnknownFrom(1), false);
        // Asked for once more, it works, and would sleep again.
        set.extend(pieces(64, 100));
        eventually("the worker asks to sleep", || faults::counts().refused > 3);
        let (start, calls) = (Instant::now(), faults::counts().calls);
        thread::sleep(Duration::from_millis(300));
        let calls = faults::counts().calls - calls;
        let most = 2 * start.elapsed().as_millis();
        faults::stop();
        assert!(u128::from(calls) <= most, "{calls} calls where {most} are enough");
    });
}

#[test]
fn blocks_pass_between_threads_and_worker() {
    let (sender, receiver) = mpsc::sync_channel::<Vec<Piece<other::Heap>>>(4);
    let consumer = thread::spawn(move || receiver.into_iter().for_each(drop));
    let producers: Vec<_> = (0..2)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut random = Random::new(number);
                for _ in 0..300 {
                    sender.send(pieces(64, random.below(300))).expect("the consumer waits for the last");
                }
            })
        })
        .collect();
    drop(sender);
    for thread in producers {
        thread.join().expect("the thread ends well");
    }
    consumer.join().expect("the thread ends well");
    eventually("no block is left", || {
        other::Heap::purge();
        blocks_live::<other::Heap>() == 0
    });
}

#[test]
fn a_child_has_no_worker_until_it_needs_one() {
    isolated("a_child_has_no_worker_until_it_needs_one", || {
        watchdog();
        let mut set = pieces::<Heap>(64, 100);
        let parent = tasks().len();
        for generation in 0..20 {
            let child = fork(|| {
                assert_eq!(tasks().len(), 1);
                let more = pieces::<Heap>(64, 500);
                assert_eq!(tasks().len(), 2, "the child's worker");
                drop(more);
                set.clear();
                drop(pieces::<Heap>(1024, 500));
                // And a child of the child.
                reap(fork(|| {
                    assert_eq!(tasks().len(), 1);
                    drop(pieces::<Heap>(48, 500));
                    assert_eq!(tasks().len(), 2);
                }));
                Heap::purge();
            });
            // The parent goes on with its own.
            set.extend(pieces(64, 10 * generation));
            reap(child);
            assert_eq!(tasks().len(), parent);
        }
    });
}

/// Threads that keep the worker busy until the flag is set.
fn hammer(stop: &AtomicBool, number: u64) {
    let mut random = Random::new(number);
    let mut set: Vec<Piece<Heap>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        set.extend(pieces(1 + random.below(1000), random.below(100)));
        let keep = random.below(set.len() + 1);
        set.truncate(keep);
    }
}

#[test]
fn a_fork_beside_a_busy_worker() {
    isolated("a_fork_beside_a_busy_worker", || {
        watchdog();
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..2 {
                scope.spawn(move || hammer(stop, number));
            }
            for size in 1..=60 {
                reap(fork(|| {
                    drop(pieces::<Heap>(size * 16, 1000));
                    Heap::purge();
                }));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn a_program_ends_with_a_sleeping_worker() {
    ends("a_program_ends_with_a_sleeping_worker", 3, || {
        let before = tasks();
        drop(pieces::<Heap>(64, 100));
        drop(pieces::<other::Heap>(64, 100));
        let workers: Vec<String> = tasks().difference(&before).cloned().collect();
        assert_eq!(workers.len(), 2);
        for worker in workers {
            eventually("the worker sleeps", || state_and_ticks(&worker).0 == 'S');
        }
    });
}

#[test]
fn a_program_ends_with_a_busy_worker() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    ends("a_program_ends_with_a_busy_worker", 10, || {
        for number in 0..2 {
            thread::spawn(move || hammer(&NEVER, number));
        }
        thread::sleep(Duration::from_millis(20));
    });
}

/// The first miss, in one thread, and the end, in another, at the same moment.
#[test]
fn a_program_ends_while_the_worker_begins() {
    ends("a_program_ends_while_the_worker_begins", 40, || {
        let together: &Barrier = Box::leak(Box::new(Barrier::new(2)));
        thread::spawn(move || {
            together.wait();
            drop(pieces::<Heap>(64, 100));
        });
        together.wait();
        let pause = Instant::now();
        while pause.elapsed().subsec_micros() < std::process::id() % 64 {}
    });
}

#[test]
fn what_is_allocated_at_exit_needs_no_worker() {
    extern "C" fn late() {
        let set = pieces::<Heap>(64, 5000);
        drop(set);
        Heap::purge();
        // A thread that was joined may take a moment to leave the kernel's list.
        eventually("the worker is gone", || tasks().len() == BEFORE.load(Ordering::Relaxed));
    }
    static BEFORE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    ends("what_is_allocated_at_exit_needs_no_worker", 3, || {
        BEFORE.store(tasks().len(), Ordering::Relaxed);
        // SAFETY: the handler is a function of this program. Registered before the worker's, it runs after that.
        assert_eq!(unsafe { libc::atexit(late) }, 0);
        drop(pieces::<Heap>(64, 100));
        assert!(tasks().len() > BEFORE.load(Ordering::Relaxed));
    });
}
