//! Model of a depot of magazines: two stacks, one of full and one of empty magazines, that share the magazines' links. A pop
//! from one may read a link that by then belongs to the other, and that has the depth of a stack in its upper bits or not. The
//! stacks are the allocator's own, on loom's atomics; the broken variants must fail.

mod common;
#[path = "common/untagged.rs"]
mod untagged;

use common::LoomWord;
use hakmem_runtime::protocol::{TaggedStack, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use untagged::Untagged;

/// How many blocks a full magazine holds.
const FULL: u32 = 4;

/// The depot and its magazines, numbered from 1. The owner of a magazine writes to its blocks.
struct Depot<W> {
    full: TaggedStack<W>,
    empty: TaggedStack<W>,
    links: [W; 3],
    blocks: [UnsafeCell<u32>; 3],
    /// Magazines are put back before their blocks are taken out.
    puts_first: bool,
}

impl<W: Word> Depot<W> {
    fn new(word: fn() -> W, puts_first: bool) -> Depot<W> {
        Depot {
            full: TaggedStack::new(word()),
            empty: TaggedStack::new(word()),
            links: [word(), word(), word()],
            blocks: [UnsafeCell::new(0), UnsafeCell::new(0), UnsafeCell::new(0)],
            puts_first,
        }
    }

    fn link(&self, magazine: u64) -> &W {
        &self.links[magazine as usize]
    }

    /// Changes the number of blocks of a magazine, as its owner.
    fn change(&self, magazine: u64, from: u32, to: u32) {
        // SAFETY: the caller believes that it owns the magazine. If the protocol is wrong about that, loom reports the
        // race and fails the test.
        let found = self.blocks[magazine as usize].with_mut(|blocks| unsafe { core::mem::replace(&mut *blocks, to) });
        assert_eq!(found, from, "a magazine is on the wrong stack");
    }

    fn put_full(&self, magazine: u64) {
        self.change(magazine, 0, FULL);
        self.full.push_counted(magazine, |magazine| self.link(magazine));
    }

    fn take_full(&self) -> Option<u64> {
        let magazine = self.full.pop(|magazine| self.link(magazine))?;
        self.change(magazine, FULL, FULL);
        Some(magazine)
    }

    fn put_empty(&self, magazine: u64) {
        if self.puts_first {
            self.empty.push(magazine, self.link(magazine));
            self.change(magazine, FULL, 0);
        } else {
            self.change(magazine, FULL, 0);
            self.empty.push(magazine, self.link(magazine));
        }
    }

    fn take_empty(&self) -> Option<u64> {
        let magazine = self.empty.pop(|magazine| self.link(magazine))?;
        self.change(magazine, 0, 0);
        Some(magazine)
    }
}

/// One thread takes a full magazine, while another takes both, and sends the first one through the stack of empty ones back
/// to that of full ones.
fn through_both<W: Word + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let depot = Arc::new(Depot::new(word, false));
        depot.put_full(2);
        depot.put_full(1);
        let other = {
            let depot = Arc::clone(&depot);
            thread::spawn(move || {
                let first = depot.take_full();
                let second = depot.take_full();
                if let Some(magazine) = first {
                    depot.put_empty(magazine);
                }
                if let Some(magazine) = depot.take_empty() {
                    depot.put_full(magazine);
                }
                second
            })
        };
        let mine = depot.take_full();
        let kept = other.join().unwrap();
        let left = [depot.take_full(), depot.take_full(), depot.take_empty()];
        let mut all: Vec<u64> = [mine, kept].into_iter().chain(left).flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2], "a magazine was lost or has two owners");
    });
}

#[test]
fn a_magazine_has_one_owner() {
    through_both(|| LoomWord(AtomicU64::new(0)));
}

/// One thread empties magazines, another fills them: each finds those of the other, as the stack says that they are, and
/// the depth that the links hold is that of the full ones.
fn exchange(puts_first: bool) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let depot = Arc::new(Depot::new(|| LoomWord(AtomicU64::new(0)), puts_first));
        depot.put_full(2);
        depot.put_full(1);
        let filling = {
            let depot = Arc::clone(&depot);
            thread::spawn(move || {
                if let Some(magazine) = depot.take_empty() {
                    depot.put_full(magazine);
                }
            })
        };
        if let Some(magazine) = depot.take_full() {
            depot.put_empty(magazine);
        }
        filling.join().unwrap();
        let depth = depot.full.depth(|magazine| depot.link(magazine));
        let (full, empty) = ((0..3).map_while(|_| depot.take_full()).count(), depot.take_empty().iter().count());
        assert_eq!((depth, full + empty), (full as u64, 2), "the depth, and the magazines");
    });
}

#[test]
fn full_and_empty_magazines_are_told_apart() {
    exchange(false);
}

#[test]
#[should_panic(expected = "Causality violation: Concurrent write accesses")]
fn a_magazine_that_is_put_back_too_early_is_caught() {
    exchange(true);
}

#[test]
#[should_panic(expected = "a magazine was lost or has two owners")]
fn a_missing_tag_is_caught() {
    through_both(|| Untagged(LoomWord(AtomicU64::new(0))));
}
