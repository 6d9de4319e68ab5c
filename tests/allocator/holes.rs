//! Pages of slabs in use in which no block is go back: at once when asked, after the delay by the thread's own slow paths, and
//! by the purger where a thread has said that it waits. What is in use keeps its contents; what went back is used again.

use crate::blocks::{KIB, MIB, Piece, Random, Subject, layout, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::sync::Barrier;
use std::time::Duration;
use std::{array, thread};

/// The default spec, with its thread that purges.
mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

/// No such thread, a short delay, other layers.
mod quick {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 20

            [[class]]
            sizes = { from = 64, to = "4 KiB", steps_per_doubling = 2 }
            layers = ["unified", "sll"]

            [[class]]
            size = "24 KiB"
            layers = ["heapv2"]
        }
    }
}

/// The byte before a block is its header, which may be in the page before.
mod headed {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 20

            [[class]]
            sizes = { from = 64, to = "4 KiB", steps_per_doubling = 2 }
            layers = ["unified"]
            header = "region-id"
        }
    }
}

subjects!(default::Heap, quick::Heap, headed::Heap);

/// About as many bytes of each size.
const SIZES: [usize; 3] = [500, 1000, 2000];
const EACH: usize = 8 * MIB;

/// Blocks of which one in twenty is kept, at random; and the resident bytes before and with all of them.
fn sparse<A: Subject>() -> (Vec<Piece<A>>, [usize; 2]) {
    let mut pieces = Vec::<Piece<A>>::with_capacity(SIZES.iter().map(|size| EACH / size + 1).sum());
    // SAFETY: the vector's spare room has this many places, and no one reads them.
    unsafe { pieces.as_mut_ptr().write_bytes(0, pieces.capacity()) };
    let before = resident();
    for size in SIZES {
        pieces.extend((0..EACH / size).map(|number| Piece::<A>::new(layout(size), number as u8, false)));
    }
    let all = resident();
    assert!(all > before + 20 * MIB);
    let mut random = Random::new(3);
    pieces.retain(|_| random.below(20) == 0);
    (pieces, [before, all])
}

/// The share of the memory that is still resident, in percent.
fn kept([before, all]: [usize; 2]) -> usize {
    resident().saturating_sub(before) * 100 / (all - before)
}

/// Fills the holes again, and frees everything: each piece checks its contents at its end.
fn refill<A: Subject>(mut pieces: Vec<Piece<A>>) {
    for size in SIZES {
        pieces.extend((0..EACH / size).map(|number| Piece::<A>::new(layout(size), number as u8, false)));
    }
}

/// `purge` gives the holes back.
fn purged<A: Subject>(purge: fn()) {
    for _ in 0..3 {
        let (pieces, bytes) = sparse::<A>();
        purge();
        assert!(kept(bytes) < 35, "{} % kept", kept(bytes));
        refill(pieces);
        purge();
    }
}

#[test]
fn a_purge_gives_holes_back() {
    isolated("a_purge_gives_holes_back", || {
        purged::<default::Heap>(default::Heap::purge);
        purged::<quick::Heap>(quick::Heap::purge);
        purged::<headed::Heap>(headed::Heap::purge);
    });
}

/// Waits until little is kept, with `work` now and then. A second or two, if the machine has time.
fn goes_back<A: Subject>(prepare: fn(), mut work: impl FnMut()) {
    let (pieces, bytes) = sparse::<A>();
    prepare();
    for _ in 0..3000 {
        thread::sleep(Duration::from_millis(20));
        work();
        if kept(bytes) < 35 {
            return refill(pieces);
        }
    }
    panic!("{} % kept", kept(bytes));
}

#[test]
fn a_thread_that_goes_on_gives_holes_back() {
    isolated("a_thread_that_goes_on_gives_holes_back", || {
        // More than the layers hold.
        let work = || drop((0..100).map(|_| Piece::<quick::Heap>::new(layout(3 * KIB), 1, false)).collect::<Vec<_>>());
        goes_back::<quick::Heap>(|| (), work);
    });
}

#[test]
fn a_thread_that_waits_gives_holes_back() {
    isolated("a_thread_that_waits_gives_holes_back", || {
        goes_back::<default::Heap>(default::Heap::idle, || ());
    });
}

#[test]
fn idle_threads_keep_little() {
    const THREADS: usize = 64;
    isolated("idle_threads_keep_little", || {
        let barrier = &Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            for seed in 0..THREADS as u64 {
                scope.spawn(move || {
                    barrier.wait();
                    barrier.wait();
                    let mut random = Random::new(seed);
                    let mut pieces: [Option<Piece<default::Heap>>; 100] = array::from_fn(|_| None);
                    for _ in 0..3000 {
                        let place = random.below(pieces.len());
                        let most = 1 << (4 + random.below(14));
                        let size = 1 + random.below(most);
                        pieces[place] = Some(Piece::new(layout(size), place as u8, false));
                    }
                    drop(pieces);
                    default::Heap::idle();
                    default::Heap::idle();
                    barrier.wait();
                    barrier.wait();
                    drop(Piece::<default::Heap>::new(layout(100), 1, false));
                });
            }
            barrier.wait();
            // With the threads' stacks.
            let before = resident();
            barrier.wait();
            barrier.wait();
            let mut kept = 0;
            for _ in 0..600 {
                thread::sleep(Duration::from_millis(100));
                kept = resident().saturating_sub(before);
                if kept < THREADS * 64 * KIB {
                    break;
                }
            }
            barrier.wait();
            assert!(kept < THREADS * 64 * KIB, "{} KiB a thread", kept / KIB / THREADS);
        });
    });
}
