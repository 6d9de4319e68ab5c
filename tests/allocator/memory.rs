//! Memory comes back: at once when asked, after the delay by itself; and half-empty slabs fill up again before new ones
//! are taken. Each test looks at the resident memory of a process of its own.

use crate::blocks::{MIB, Piece, Random, Subject, layout, subjects};
use crate::rerun::isolated;
use crate::resident::resident;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

hakmem::allocator! {
    /// The default spec without a thread that purges.
    pub(crate) struct Heap = "tests/slow_path_purge.toml";
}

/// Gives nothing back by itself.
mod keeping {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = "never"

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

subjects!(Heap, keeping::Heap);

/// Room for a burst's pieces, touched, so that it does not count as growth later. Of the system's allocator.
fn room<A: Subject>(count: usize) -> Vec<Piece<A>> {
    let mut room = Vec::<Piece<A>>::with_capacity(count);
    let bytes = count * size_of::<Piece<A>>();
    // SAFETY: the vector's spare room has this many bytes, and no one reads them.
    unsafe { room.as_mut_ptr().cast::<u8>().write_bytes(0, bytes) };
    room
}

/// Small blocks of random sizes, `bytes` in all.
fn burst<A: Subject>(random: &mut Random, bytes: usize, pieces: &mut Vec<Piece<A>>) {
    let mut sum = 0;
    while sum < bytes {
        let size = 1 + random.below(1024);
        pieces.push(Piece::new(layout(size), size as u8, false));
        sum += size;
    }
}

const BURST: usize = 200 * MIB;
/// Twice as many pieces as a burst has on average.
const PIECES: usize = BURST / 256;

#[test]
fn it_is_the_default_spec_without_the_thread() {
    let default = include_str!("../../classes.toml");
    assert_eq!(
        include_str!("../slow_path_purge.toml"),
        default.replace("\nbackground = true\n", "\nbackground = false\n")
    );
}

#[test]
fn a_purge_gives_a_burst_back() {
    isolated("a_purge_gives_a_burst_back", || {
        let mut pieces = room::<Heap>(PIECES);
        let before = resident();
        burst(&mut Random::new(1), BURST, &mut pieces);
        assert!(resident() >= before + BURST);
        pieces.clear();
        Heap::purge();
        let kept = resident().saturating_sub(before);
        assert!(kept < 10 * MIB, "{kept} bytes kept after a purge\n{}", Heap::stats());
    });
}

#[test]
fn a_burst_goes_back_after_the_delay() {
    isolated("a_burst_goes_back_after_the_delay", || {
        let mut pieces = room::<Heap>(PIECES);
        let before = resident();
        let mut random = Random::new(2);
        burst(&mut random, BURST, &mut pieces);
        // In random order, which empties slabs late.
        while !pieces.is_empty() {
            pieces.swap_remove(random.below(pieces.len()));
        }
        // A program that does a little now and then, more than its thread's front holds. Nobody calls `purge`. The delay
        // is half a second; ten times that is for machines that are busy.
        // The blocks in the front are from as many slabs, which stay for them: hence the quarter.
        let mut kept = usize::MAX;
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(100));
            drop((0..2000).map(|_| Piece::<Heap>::new(layout(100), 1, false)).collect::<Vec<_>>());
            kept = resident().saturating_sub(before);
            if kept < BURST / 4 {
                return;
            }
        }
        panic!("{kept} bytes kept\n{}", Heap::stats());
    });
}

#[test]
fn never_means_never_but_for_purge() {
    isolated("never_means_never_but_for_purge", || {
        let mut pieces = room::<keeping::Heap>(PIECES);
        let before = resident();
        burst(&mut Random::new(3), BURST / 4, &mut pieces);
        pieces.clear();
        thread::sleep(Duration::from_millis(150));
        burst(&mut Random::new(3), MIB, &mut pieces);
        pieces.clear();
        assert!(resident() >= before + BURST / 4);
        keeping::Heap::purge();
        let kept = resident().saturating_sub(before);
        assert!(kept < 5 * MIB, "{kept} bytes kept after a purge\n{}", keeping::Heap::stats());
    });
}

#[test]
fn slabs_with_holes_are_filled_again() {
    isolated("slabs_with_holes_are_filled_again", || {
        let mut pieces = room::<Heap>(PIECES);
        let mut random = Random::new(4);
        burst(&mut random, BURST / 2, &mut pieces);
        for _ in 0..5 {
            // Free a random half, keep what is resident, allocate as much again.
            for _ in 0..pieces.len() / 2 {
                pieces.swap_remove(random.below(pieces.len()));
            }
            let before = resident();
            let live: usize = pieces.iter().map(Piece::size).sum();
            burst(&mut random, BURST / 2 - live, &mut pieces);
            let after = resident();
            assert!(after <= before + before / 10, "{before} bytes before, {after} after\n{}", Heap::stats());
        }
    });
}

#[test]
fn memory_freed_by_other_threads_goes_back() {
    isolated("memory_freed_by_other_threads_goes_back", || {
        let mut pieces = room::<Heap>(PIECES);
        let before = resident();
        burst(&mut Random::new(5), BURST / 2, &mut pieces);
        let pieces = thread::spawn(move || {
            pieces.clear();
            pieces
        });
        drop(pieces.join().expect("the thread ends well"));
        Heap::purge();
        let kept = resident().saturating_sub(before);
        assert!(kept < 10 * MIB, "{kept} bytes kept after a purge\n{}", Heap::stats());
    });
}

/// A burst is gone a second later though the program allocates all the while, and every allocation is a hit.
#[test]
fn a_trickle_of_hits_lets_memory_go_back() {
    isolated("a_trickle_of_hits_lets_memory_go_back", || {
        let mut pieces = room::<Heap>(PIECES);
        let before = resident();
        burst(&mut Random::new(3), BURST, &mut pieces);
        pieces.clear();
        for _ in 0..120 {
            drop(Piece::<Heap>::new(layout(64), 1, false));
            thread::sleep(Duration::from_millis(10));
        }
        let kept = resident().saturating_sub(before);
        assert!(kept < 10 * MIB, "{} MiB are still resident", kept / MIB);
    });
}

/// The same where mid-size blocks travel between two threads by the magazine, and meet no slab.
#[test]
fn a_trickle_between_threads_lets_memory_go_back() {
    isolated("a_trickle_between_threads_lets_memory_go_back", || {
        let mut pieces = room::<Heap>(PIECES);
        let before = resident();
        burst(&mut Random::new(3), BURST, &mut pieces);
        pieces.clear();
        let (sender, receiver) = mpsc::channel::<Vec<Piece<Heap>>>();
        thread::spawn(move || receiver.into_iter().for_each(drop));
        for _ in 0..120 {
            sender.send((0..8).map(|_| Piece::new(layout(2000), 1, false)).collect()).expect("the other thread waits");
            thread::sleep(Duration::from_millis(10));
        }
        let kept = resident().saturating_sub(before);
        assert!(kept < 10 * MIB, "{} MiB are still resident", kept / MIB);
    });
}

/// Blocks of a megabyte and of 100 KiB, 100 MiB in all.
fn large_blocks<A: Subject>() -> [Vec<Piece<A>>; 2] {
    [(1 << 20, 50), (100 << 10, 512)].map(|(size, count)| (0..count).map(|_| piece_of(size)).collect())
}

fn piece_of<A: Subject>(size: usize) -> Piece<A> {
    Piece::new(layout(size), 7, false)
}

/// A process that is idle from then on, as a database's server between two queries, and has no thread that purges.
#[test]
fn large_blocks_that_nobody_comes_by_for_go_back_when_they_are_freed() {
    isolated("large_blocks_that_nobody_comes_by_for_go_back_when_they_are_freed", || {
        let before = resident();
        let blocks = large_blocks::<Heap>();
        assert!(resident() >= before + 90 * MIB);
        drop(blocks);
        // 8 MiB may stay, and as much in the thread's cache.
        let kept = resident().saturating_sub(before);
        assert!(kept < 20 * MIB, "{kept} bytes kept");
    });
}

#[test]
fn large_blocks_stay_where_the_spec_says_so() {
    isolated("large_blocks_stay_where_the_spec_says_so", || {
        let blocks = large_blocks::<keeping::Heap>();
        let before = resident();
        drop(blocks);
        assert!(resident() + MIB >= before, "{before} bytes before, now {}", resident());
    });
}
