//! Every layer, large blocks, and blocks that go from thread to thread, few enough for the interpreter Miri, which follows
//! where each pointer comes from (`tests/README.md` has the command).

use crate::blocks::{KIB, Piece, Subject, layout, pieces, subjects};
use std::sync::mpsc::channel;

macro_rules! heaps {
    ($($name:ident $spec:tt)*) => {
        $(mod $name {
            hakmem::allocator! { pub(super) struct Heap $spec }
        })*
    };
}

heaps! {
    pages {
        [superslab]
        size = "256 KiB"
        slab = "16 KiB"

        [[class]]
        sizes = { from = 16, to = 64, step = 16 }
        layers = ["pages"]

        [[class]]
        sizes = { from = 1024, to = "2 KiB", step = 1024 }
        layers = ["heapv2"]
    }
    lists {
        [superslab]
        size = "256 KiB"
        slab = "16 KiB"

        [purge]
        delay_ms = 0

        [[class]]
        sizes = { from = 16, to = 64, step = 16 }
        layers = ["ultrahot", "unified", "sll"]
        free = "deferred"

        [[class]]
        sizes = { from = 96, to = 128, step = 32 }
        layers = ["ring", "sll"]
        header = "region-id"

        [[class]]
        size = 256
        layers = ["hot", "sll"]

        [[class]]
        size = 512
        layers = ["c23"]

        [[class]]
        size = 1024
        layers = ["fast", "sfc"]

        [[class]]
        size = 2048
        layers = ["quarantine", "sll"]
    }
}

subjects!(pages::Heap, lists::Heap);

/// How many blocks of each size.
const COUNT: usize = if cfg!(miri) { 2 } else { 20 };

fn some<A: Subject>(seed: u8) -> Vec<Piece<A>> {
    let sizes = [16, 40, 64, 90, 120, 200, 400, 1000, 1900, 5000];
    let mut kept: Vec<Piece<A>> =
        sizes.iter().flat_map(|&size| (0..COUNT).map(move |_| Piece::new(layout(size), seed, size > 900))).collect();
    for place in (0..kept.len()).step_by(7) {
        kept[place].resize(sizes[place % sizes.len()]);
    }
    kept
}

fn everything<A: Subject>() {
    let (to_other, from_first) = channel();
    let (to_first, from_other) = channel();
    std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            to_first.send(some::<A>(1)).expect("the first thread waits");
            drop(from_first.recv().expect("the first thread gives"));
            drop(some::<A>(2));
        });
        to_other.send(some::<A>(3)).expect("the other thread waits");
        drop(from_other.recv().expect("the other thread gives"));
        other.join().expect("it ends well");
    });
    let mut large = pieces::<A>(40 * KIB, 3);
    large[0].resize(100 * KIB);
    drop(large);
    drop(some::<A>(4));
    A::purge();
    assert!(crate::blocks::blocks_live::<A>() == 0, "{}", A::stats());
}

#[test]
fn pages_and_magazines() {
    everything::<pages::Heap>();
}

#[test]
fn lists_and_arrays() {
    everything::<lists::Heap>();
}
