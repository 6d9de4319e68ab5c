//! Policies beside layers: `free = "deferred"`, `refill = "legacy"`, `stats = true`.
//! `background` and `headers` have the other two. Every allocator here belongs to one test, so that its
//! books are exact.

use crate::blocks::{Piece, Random, blocks_live, layout, on_a_thread, pieces, slabs, subjects};
use std::sync::Barrier;
use std::thread;

// Deferred frees.

mod queue {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["unified"]
            unified = { capacity = 4 }
            free = "deferred"
        }
    }
}

mod short_lived {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            free = "deferred"

            [[class]]
            sizes = [32, 64]

            [[class]]
            size = 96
            layers = ["pages"]

            [[class]]
            size = 128
            layers = ["ultrahot", "ring"]
        }
    }
}

/// Frees in a batch.
const BATCH: usize = 256;

#[test]
fn deferred_frees_go_home_256_at_a_time() {
    on_a_thread(|| {
        let mut set = pieces::<queue::Heap>(64, 4 * BATCH);
        let before = blocks_live::<queue::Heap>();
        for batch in 1..=3 {
            // The last refill may have left a block or two in front.
            let live = blocks_live::<queue::Heap>();
            set.truncate(set.len() - (BATCH - 1));
            assert_eq!(blocks_live::<queue::Heap>(), live, "batch {batch} went home too early");
            set.pop();
            let live = blocks_live::<queue::Heap>();
            let gone = before - (batch * BATCH) as u64;
            assert!((gone..=gone + 8).contains(&live), "{live} live after {batch} batches of {before}");
        }
        // What waits in the queue serves before a slab does.
        set.truncate(BATCH - 100);
        let live = blocks_live::<queue::Heap>();
        set.extend(pieces(64, 100));
        assert_eq!(blocks_live::<queue::Heap>(), live);
    });
    assert_eq!(blocks_live::<queue::Heap>(), 0, "left behind:\n{}", queue::Heap::stats());
}

#[test]
fn deferred_frees_do_not_outlive_their_thread() {
    for size in [32, 64, 96, 128] {
        // As many as wait in the queue, and one that makes it overflow.
        for count in [1, 100, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 7] {
            on_a_thread(|| drop(pieces::<short_lived::Heap>(size, count)));
            assert_eq!(blocks_live::<short_lived::Heap>(), 0, "{count} of {size}:\n{}", short_lived::Heap::stats());
            // The same of blocks of another thread, by one that allocates nothing.
            let foreign = pieces::<short_lived::Heap>(size, count);
            on_a_thread(move || drop(foreign));
            short_lived::Heap::purge();
            assert_eq!(blocks_live::<short_lived::Heap>(), 0, "{count} of {size}:\n{}", short_lived::Heap::stats());
        }
    }
    assert_eq!(slabs::<short_lived::Heap>(), 0);
}

// Legacy refills.

mod through_sll {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["fast", "sll"]
            fast = { capacity = 4 }

            [[class]]
            size = 64
            refill = "legacy"

            [[class]]
            size = 128

            # Here the list is too short for a refill, which passes it by.
            [[class]]
            size = 256
            refill = "legacy"
            sll = { high_water = 512 }
        }
    }
}

#[test]
fn legacy_refills_take_four_batches_through_sll() {
    type Heap = through_sll::Heap;
    on_a_thread(|| {
        let mut set = Vec::new();
        for (size, taken) in [(64, 16), (128, 4), (256, 4)] {
            let start = blocks_live::<Heap>();
            for allocated in 1..=3 * taken {
                set.push(Piece::<Heap>::new(layout(size as usize), 1, false));
                // So many blocks leave their slab at once, and serve until they are used up.
                let expected = u64::next_multiple_of(allocated, taken);
                assert_eq!(blocks_live::<Heap>() - start, expected, "{allocated} of {size}");
            }
        }
    });
    assert_eq!(blocks_live::<Heap>(), 0, "left behind:\n{}", Heap::stats());
}

// Statistics of layers.

mod counted {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            unified = { capacity = 8 }
            sll = { high_water = 1024 }
            batch = 4
            stats = true

            # Not counted.
            [[class]]
            size = 128
        }
    }
}

mod counted_in_threads {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            stats = true

            [[class]]
            size = 32
            layers = ["ultrahot", "fast", "sll"]

            [[class]]
            size = 64
            layers = ["heapv2", "pages"]

            [[class]]
            size = 96
            layers = ["hot"]
            free = "deferred"

            [[class]]
            size = 128
            layers = ["c23", "ring"]
            header = "region-id"
        }
    }
}

mod counted_ahead {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["ultrahot", "fast"]
            fast = { capacity = 4 }
            stats = true
        }
    }
}

/// Another thread's counts are as old as its last cold path, those of a layer ahead as well.
#[test]
fn a_cold_path_publishes_what_a_thread_counted() {
    type Heap = counted_ahead::Heap;
    let (counted, looked) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            // The 1st of every four finds nothing.
            let set = pieces::<Heap>(64, 13);
            counted.wait();
            looked.wait();
            drop(set);
        });
        counted.wait();
        let table = rows(Heap::layer_stats());
        looked.wait();
        assert_eq!(table, [(64, "ultrahot", [0, 13, 0, 0]), (64, "fast", [9, 4, 4, 0])]);
    });
}

mod not_counted {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

subjects!(queue::Heap, short_lived::Heap, through_sll::Heap, counted::Heap, counted_in_threads::Heap);
subjects!(counted_ahead::Heap, counted_behind_a_queue::Heap, not_counted::Heap);

/// The rows of a table: size, layer, hits, misses, refills, flushes.
fn rows(table: hakmem::LayerTable) -> Vec<(u64, &'static str, [u64; 4])> {
    table.iter().map(|row| (row.block_size, row.layer, [row.hits, row.misses, row.refills, row.flushes])).collect()
}

#[test]
fn layers_count_what_they_do() {
    let row = |unified, sll| vec![(64, "unified", unified), (64, "sll", sll)];
    on_a_thread(|| {
        assert_eq!(rows(counted::Heap::layer_stats()), row([0; 4], [0; 4]));
        // One allocation in four finds nothing, in neither layer.
        let set = pieces::<counted::Heap>(64, 20);
        assert_eq!(rows(counted::Heap::layer_stats()), row([15, 5, 5, 0], [0, 5, 0, 0]));
        // The list has 6 blocks when it is first looked at, which is not enough. With the 9th it keeps 4, and again with
        // the 14th and the 19th. `sll` has room for 16, and gets 15.
        drop(set);
        assert_eq!(rows(counted::Heap::layer_stats()), row([15, 5, 5, 3], [0, 5, 0, 0]));
        // 5 lie in front, and 15 behind: 4 batches.
        let set = pieces::<counted::Heap>(64, 20);
        assert_eq!(rows(counted::Heap::layer_stats()), row([31, 9, 9, 3], [4, 5, 0, 0]));
        drop(set);
        drop(pieces::<counted::Heap>(128, 100));
        let before = rows(counted::Heap::layer_stats());
        assert_eq!(rows(counted::Heap::layer_stats()), before, "to look changes nothing");
        // Everything goes home, from both.
        let [(.., [.., unified]), (.., [.., sll])] = before[..] else { panic!("two rows: {before:?}") };
        counted::Heap::purge();
        let after = rows(counted::Heap::layer_stats());
        let [(.., [.., unified_after]), (.., [.., sll_after])] = after[..] else { panic!("two rows: {after:?}") };
        assert_eq!((unified_after, sll_after), (unified + 1, sll + 1));
    });
}

mod counted_behind_a_queue {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["unified"]
            unified = { capacity = 8 }
            batch = 4
            free = "deferred"
            stats = true
        }
    }
}

#[test]
fn a_miss_counts_once_behind_a_queue_of_frees() {
    type Heap = counted_behind_a_queue::Heap;
    on_a_thread(|| {
        let mut set = pieces::<Heap>(64, 20);
        assert_eq!(rows(Heap::layer_stats()), [(64, "unified", [15, 5, 5, 0])]);
        // What waits in the queue is found after a miss, by a hit.
        set.truncate(17);
        set.extend(pieces(64, 3));
        assert_eq!(rows(Heap::layer_stats()), [(64, "unified", [18, 6, 5, 0])]);
    });
}

#[test]
fn every_allocation_is_a_hit_or_a_miss() {
    type Heap = counted_in_threads::Heap;
    const THREADS: u64 = 4;
    const COUNT: usize = 5000;
    let worker = |number: u64| {
        let mut random = Random::new(number);
        let mut sets: [Vec<Piece<Heap>>; 4] = Default::default();
        for step in 0..4 * COUNT {
            let class = step % 4;
            sets[class].push(Piece::new(layout(32 * (class + 1) - 8), 1, false));
            if random.below(50) == 0 {
                let keep = random.below(sets[class].len());
                sets[class].truncate(keep);
            }
        }
    };
    for number in 0..THREADS {
        on_a_thread(|| worker(number));
    }
    let table = rows(Heap::layer_stats());
    let names: Vec<(u64, &str)> = table.iter().map(|&(size, layer, _)| (size, layer)).collect();
    let expected = "32 ultrahot,32 fast,32 sll,64 heapv2,64 pages,96 hot,128 c23,128 ring";
    assert_eq!(names.iter().map(|(size, layer)| format!("{size} {layer}")).collect::<Vec<_>>().join(","), expected);
    let allocations = THREADS * COUNT as u64;
    let of = |name: &str| table.iter().find(|(_, layer, _)| *layer == name).expect("a row").2;
    for first in ["ultrahot", "heapv2", "c23"] {
        let [hits, misses, ..] = of(first);
        assert_eq!(hits + misses, allocations, "{first}:\n{}", Heap::layer_stats());
        assert!(hits > 0 && misses > 0);
    }
    // What the one ahead does not have is asked of the other, in the same hit.
    let ([_, ahead, ..], [hits, misses, ..]) = (of("ultrahot"), of("fast"));
    assert_eq!(hits + misses, ahead);
    // A miss that the queue of deferred frees could serve is followed by a hit.
    let [hits, misses, ..] = of("hot");
    assert!((allocations..=allocations + misses).contains(&(hits + misses)), "{}", Heap::layer_stats());
    for (size, layer, [hits, misses, refills, flushes]) in &table {
        let counts = format!("{layer} of {size}: {hits} {misses} {refills} {flushes}");
        // A layer behind another may be filled from above alone.
        assert!(hits + misses > 0 && flushes + refills > 0 || *layer == "sll", "{counts}");
    }
    assert!(Heap::layer_stats().to_string().lines().count() > names.len() / 2);
}

#[test]
fn who_does_not_ask_gets_an_empty_table() {
    drop(pieces::<not_counted::Heap>(64, 1000));
    assert_eq!(not_counted::Heap::layer_stats().iter().count(), 0);
    assert_eq!(not_counted::Heap::layer_stats().to_string().lines().count(), 1, "the head alone");
}
