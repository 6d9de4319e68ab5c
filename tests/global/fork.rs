//! `fork` while other threads allocate as hard as they can: the child inherits no lock, and can allocate and free.

use crate::Heap;
use crate::blocks::{KIB, MIB, Piece, Random, Subject, layout, subjects};
use crate::forks::{fork, reap, watchdog};
use crate::rerun::isolated;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

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

subjects!(eager::Heap);

const FORKS: usize = 100;

/// Replaces and resizes random blocks of a set; now and then, gives back what nobody has.
fn churn<A: Subject>(random: &mut Random, set: &mut Vec<Piece<A>>, count: usize) {
    if random.below(50) == 0 {
        A::purge();
    }
    for _ in 0..count {
        let piece = Piece::new(random.layout(MIB), random.below(255) as u8 + 1, false);
        if set.len() < 200 {
            set.push(piece);
        } else {
            let which = random.below(set.len());
            set[which] = piece;
            set[which / 2].resize(random.layout(MIB).size());
        }
    }
}

/// What the child does: blocks of all sizes in both allocators, and the freeing of blocks that the parent allocated, of
/// this thread and of others.
fn child(number: usize, inherited: Vec<Piece<Heap>>, inherited_eager: Vec<Piece<eager::Heap>>) {
    let mut random = Random::new(number as u64);
    drop(inherited);
    let (mut set, mut set_eager) = (Vec::<Piece<Heap>>::new(), inherited_eager);
    churn(&mut random, &mut set, 1500);
    churn(&mut random, &mut set_eager, 1500);
    set.extend(Heap::CLASSES.iter().map(|class| Piece::new(layout(class.size as usize), 1, true)));
    Heap::purge();
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
    isolated("the_child_of_a_busy_program_can_allocate", || {
        watchdog();
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
                reap(fork(|| child(number, set, set_eager)));
            }
        });
        assert!(rounds.load(Ordering::Relaxed) > 0);
    });
}
