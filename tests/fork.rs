//! `fork` while other threads allocate as hard as they can: the child inherits no lock, and can allocate and free.

mod common;

use common::processes::watchdog;
use common::{KIB, MIB, Piece, Random, Subject, subjects};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

hakmem::allocator! {
    pub(crate) struct Heap;
}

#[global_allocator]
static GLOBAL: Heap = Heap;

/// A second allocator, so that there are several to lock. Its limits send nearly every call to the shared parts.
mod eager {
    hakmem::allocator! {
        pub(super) struct Heap {
            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [purge]
            delay_ms = 0

            [defaults]
            unified = { capacity = 1 }
            sll = { high_water = 64 }
            batch = 1

            [[class]]
            sizes = { from = 16, to = "32 KiB", steps_per_doubling = 2 }
        }
    }
}

subjects!(Heap, eager::Heap);

const FORKS: usize = 100;

/// Replaces random blocks of a set.
fn churn<A: Subject>(random: &mut Random, set: &mut Vec<Piece<A>>, count: usize) {
    for _ in 0..count {
        let piece = Piece::new(random.layout(MIB), random.below(255) as u8 + 1, false);
        if set.len() < 200 {
            set.push(piece);
        } else {
            let which = random.below(set.len());
            set[which] = piece;
        }
    }
}

/// What the child does: blocks of all sizes in both allocators, and the freeing of blocks that the parent allocated, of
/// this thread and of others.
fn child(number: usize, inherited: Vec<Piece<Heap>>, inherited_eager: Vec<Piece<eager::Heap>>) -> i32 {
    watchdog(20);
    let mut random = Random::new(number as u64);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(inherited);
        let (mut set, mut set_eager) = (Vec::<Piece<Heap>>::new(), inherited_eager);
        churn(&mut random, &mut set, 1500);
        churn(&mut random, &mut set_eager, 1500);
        for class in Heap::CLASSES {
            let layout = std::alloc::Layout::from_size_align(class.size as usize, 8).expect("a power of two");
            set.push(Piece::new(layout, 1, true));
        }
        Heap::purge();
    }));
    i32::from(outcome.is_err())
}

/// Lets the workers end, also when the test fails: else its message would wait for them until the alarm.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_child_of_a_busy_program_can_allocate() {
    watchdog(60);
    let stop = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..3 {
            let (stop, rounds) = (&stop, &rounds);
            scope.spawn(move || {
                let mut random = Random::new(number);
                let (mut set, mut set_eager) = (Vec::<Piece<Heap>>::new(), Vec::<Piece<eager::Heap>>::new());
                while !stop.load(Ordering::Relaxed) {
                    churn(&mut random, &mut set, 20);
                    churn(&mut random, &mut set_eager, 20);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(&stop);
        let mut random = Random::new(100);
        for number in 0..FORKS {
            let (mut set, mut set_eager) = (Vec::<Piece<Heap>>::new(), Vec::<Piece<eager::Heap>>::new());
            churn(&mut random, &mut set, 50);
            churn(&mut random, &mut set_eager, 50);
            let foreign = thread::spawn(|| {
                (0..50).map(|size| Piece::new(Random::new(size).layout(64 * KIB), 2, false)).collect::<Vec<_>>()
            });
            set.extend(foreign.join().expect("the thread ends well"));
            // SAFETY: the child allocates, which is what is under test, and ends by `_exit`.
            match unsafe { libc::fork() } {
                0 => {
                    let code = child(number, set, set_eager);
                    // SAFETY: _exit has no preconditions.
                    unsafe { libc::_exit(code) };
                }
                process => {
                    assert!(process > 0, "no process to be had");
                    let mut status = 0;
                    // SAFETY: `status` is a place for the result.
                    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
                    assert_eq!(status, 0, "child {number} ended with status {status:#x}");
                }
            }
        }
    });
    watchdog(0);
    assert!(rounds.load(Ordering::Relaxed) > 0);
}
