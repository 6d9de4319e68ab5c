//! Random programs against a model: no two blocks overlap, contents are kept, alignments are right, zero is zero, and
//! in the end nothing is left. On the default spec and on specs that bring the corners of the runtime near.

use crate::blocks::{KIB, MIB, Piece, Subject, blocks_live, slabs, subjects};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::alloc::Layout;
use std::collections::BTreeMap;

mod default {
    hakmem::allocator! {
        pub(super) struct Heap;
    }
}

mod one_class {
    hakmem::allocator! {
        pub(super) struct Heap {
            [[class]]
            size = 64
            layers = ["unified"]
            unified = { capacity = 3 }
        }
    }
}

mod sll_only {
    hakmem::allocator! {
        pub(super) struct Heap {
            [defaults]
            layers = ["sll"]
            sll = { high_water = 512 }

            [[class]]
            sizes = { from = 16, to = 1024, steps_per_doubling = 2 }
        }
    }
}

mod small_geometry {
    hakmem::allocator! {
        pub(super) struct Heap {
            [superslab]
            size = "256 KiB"
            slab = "16 KiB"

            [purge]
            delay_ms = 0

            [large]
            cache = 0

            [[class]]
            sizes = { from = 16, to = "64 KiB", steps_per_doubling = 2 }
        }
    }
}

mod odd_sizes {
    hakmem::allocator! {
        pub(super) struct Heap {
            [purge]
            delay_ms = 1

            [large]
            cache = "16 MiB"

            [defaults]
            batch = 1
            unified = { capacity = 1 }
            sll = { high_water = 64 }

            [[class]]
            sizes = [8, 24, 72, 136, 1000, 1152, 2944, "40 KiB"]
        }
    }
}

subjects!(default::Heap, one_class::Heap, sll_only::Heap, small_geometry::Heap, odd_sizes::Heap);

/// A step of a random program. `which` picks a live block.
#[derive(Debug, Clone)]
enum Step {
    Allocate { size: usize, align: usize, zeroed: bool },
    Resize { which: prop::sample::Index, size: usize },
    Free { which: prop::sample::Index },
    Purge,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        60 => 1..=1024_usize,
        20 => 1025..=300 * KIB,
        2 => 300 * KIB..=5 * MIB,
    ]
}

fn align() -> impl Strategy<Value = usize> {
    prop_oneof![
        40 => Just(8_usize),
        20 => (0..=13_u32).prop_map(|log| 1 << log),
        1 => Just(64 * KIB),
        1 => Just(4 * MIB),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        50 => (size(), align(), prop::bool::weighted(0.2))
            .prop_map(|(size, align, zeroed)| Step::Allocate { size, align, zeroed }),
        20 => (which(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
        40 => which().prop_map(|which| Step::Free { which }),
        1 => Just(Step::Purge),
    ]
}

/// The reference: which addresses are taken.
#[derive(Default)]
struct Ranges(BTreeMap<usize, usize>);

impl Ranges {
    fn enter<A: Subject>(&mut self, piece: &Piece<A>) {
        let (start, end) = (piece.address(), piece.address() + piece.size());
        if let Some((other, other_end)) = self.0.range(..end).next_back() {
            assert!(*other_end <= start, "{start:#x}..{end:#x} overlaps {other:#x}..{other_end:#x}");
        }
        self.0.insert(start, end);
        assert!(A::owns(piece.pointer()) && A::owns(piece.pointer().wrapping_add(piece.size() - 1)));
    }

    fn remove<A: Subject>(&mut self, piece: &Piece<A>) {
        assert!(self.0.remove(&piece.address()).is_some(), "the model lost a block");
    }
}

fn run<A: Subject>(steps: Vec<Step>) {
    let mut pieces: Vec<Piece<A>> = Vec::new();
    let mut ranges = Ranges::default();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Allocate { size, align, zeroed } => {
                let layout = Layout::from_size_align(size, align).expect("a power of two");
                // Neighbours in time, which often are neighbours in memory, get different patterns; none is zero.
                let piece = Piece::new(layout, (number % 255) as u8 + 1, zeroed);
                ranges.enter(&piece);
                pieces.push(piece);
            }
            Step::Resize { which, size } if !pieces.is_empty() => {
                let piece = which.get_mut(&mut pieces);
                ranges.remove(piece);
                piece.resize(size);
                ranges.enter(piece);
            }
            Step::Free { which } if !pieces.is_empty() => {
                let piece = pieces.swap_remove(which.index(pieces.len()));
                ranges.remove(&piece);
            }
            Step::Purge => A::purge(),
            _ => {}
        }
    }
    drop(pieces);
    A::purge();
    assert_eq!((blocks_live::<A>(), slabs::<A>()), (0, 0), "left behind:\n{}", A::stats());
}

/// Each allocator has one test, so that one thread uses it and the books at the end are exact.
fn check<A: Subject>() {
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..300), |steps| {
        run::<A>(steps);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn default_spec() {
    check::<default::Heap>();
}

#[test]
fn one_class_of_unified() {
    check::<one_class::Heap>();
}

#[test]
fn sll_without_a_layer_above() {
    check::<sll_only::Heap>();
}

#[test]
fn small_slabs_purged_at_once() {
    check::<small_geometry::Heap>();
}

#[test]
fn odd_sizes_and_the_smallest_limits() {
    check::<odd_sizes::Heap>();
}
