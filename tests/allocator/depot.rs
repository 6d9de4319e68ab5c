//! What threads keep for each other (the depot of `heapv2`) goes home: at a purge, when somebody needs fresh memory, and
//! when nobody has needed it for a while. Every allocator here belongs to one test, so that its books are exact.

use crate::blocks::{Piece, Subject, blocks_live, on_a_thread, pieces, slabs, subjects};
use crate::workers::LONGEST;
use std::collections::HashSet;
use std::time::Instant;

/// Where the slabs are that these are in.
fn slabs_behind<A: Subject>(pieces: &[Piece<A>]) -> HashSet<usize> {
    pieces.iter().map(|piece| piece.address() >> 14).collect()
}

/// The slabs of the class of `size`.
fn slabs_of<A: Subject>(size: u64) -> u64 {
    let mut sum = 0;
    A::stats().for_each(|class| sum += if class.block_size == size { class.slabs } else { 0 });
    sum
}

mod purged {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["heapv2"]
            heapv2 = { capacity = 4 }
        }
    }
}

mod crowded {
    hakmem::allocator! {
        pub(super) struct Heap {
            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [purge]
            delay_ms = "never"

            [[class]]
            size = 1024
            layers = ["heapv2"]
            heapv2 = { capacity = 4 }

            [[class]]
            size = 2048
            layers = ["unified"]
        }
    }
}

mod aging {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 20

            [[class]]
            size = 64
            layers = ["heapv2"]
            heapv2 = { capacity = 4 }

            [[class]]
            size = 128
            layers = ["pages"]
        }
    }
}

subjects!(purged::Heap, crowded::Heap, aging::Heap);

#[test]
fn all_of_it_at_a_purge() {
    type Heap = purged::Heap;
    let produced = on_a_thread(|| pieces::<Heap>(64, 200));
    on_a_thread(move || drop(produced));
    // But for the two magazines of the consumer, which went home with it.
    assert_eq!(blocks_live::<Heap>(), 192, "{}", Heap::stats());
    // They serve another thread without a look at any slab.
    on_a_thread(|| {
        let set = pieces::<Heap>(64, 64);
        assert_eq!(blocks_live::<Heap>(), 192, "{}", Heap::stats());
        drop(set);
    });
    assert!(blocks_live::<Heap>() > 0);
    Heap::purge();
    assert_eq!((blocks_live::<Heap>(), slabs::<Heap>()), (0, 0), "left behind:\n{}", Heap::stats());
}

#[test]
fn all_of_it_before_anybody_takes_fresh_memory() {
    type Heap = crowded::Heap;
    let produced = on_a_thread(|| pieces::<Heap>(1024, 1024));
    let used = slabs_behind(&produced);
    on_a_thread(move || drop(produced));
    assert_eq!(slabs_of::<Heap>(1024), 64, "{}", Heap::stats());
    let set = pieces::<Heap>(2048, 500);
    assert_eq!((slabs_of::<Heap>(1024), slabs_of::<Heap>(2048)), (0, 63), "{}", Heap::stats());
    let fresh = slabs_behind(&set).difference(&used).count();
    // Slabs come from the fullest SuperSlab, and the last one begun has some that nobody used before.
    assert!(fresh < 16, "{fresh} slabs of fresh memory\n{}", Heap::stats());
    drop(set);
}

#[test]
fn what_nobody_needs_after_a_while() {
    type Heap = aging::Heap;
    let _its_slab_is_there = pieces::<Heap>(128, 1);
    drop(pieces::<Heap>(64, 5000));
    assert!(blocks_live::<Heap>() >= 4900, "{}", Heap::stats());
    let start = Instant::now();
    while slabs_of::<Heap>(64) > 1 {
        // A trickle of another class, all hits of the thread's page but for a look at the time now and then.
        drop(pieces::<Heap>(128, 1));
        assert!(start.elapsed() < LONGEST, "{}", Heap::stats());
    }
}
