//! Model of the lock-free stack of slabs: pushes and pops by several threads, with nodes that come back. The protocol
//! under test is the product's own code, on loom's atomics; the variant without a tag must fail.

mod common;

use common::LoomWord;
use hakmem_runtime::protocol::{TaggedStack, Word};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// A stack and its nodes, numbered from 1. `owner` is written by whoever has the node: loom sees two owners as a race.
struct Shelf<W> {
    stack: TaggedStack<W>,
    links: Vec<W>,
    owned: Vec<UnsafeCell<u32>>,
}

impl<W: Word> Shelf<W> {
    fn new(nodes: usize, word: impl Fn() -> W) -> Shelf<W> {
        Shelf {
            stack: TaggedStack::new(word()),
            links: (0..=nodes).map(|_| word()).collect(),
            owned: (0..=nodes).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    /// Writes to a node as its owner would.
    fn touch(&self, node: u64) {
        // SAFETY: whoever has the node is alone with it; where that is not so, loom says so.
        self.owned[node as usize].with_mut(|times| unsafe { *times += 1 });
    }

    fn push(&self, node: u64) {
        self.touch(node);
        self.stack.push(node, &self.links[node as usize]);
    }

    fn pop(&self) -> Option<u64> {
        let node = self.stack.pop(|node| &self.links[node as usize])?;
        self.touch(node);
        Some(node)
    }
}

/// Two threads push and pop: every node is somewhere at the end, and never in two hands.
#[test]
fn nodes_have_one_owner() {
    loom::model(|| {
        let shelf = Arc::new(Shelf::new(2, || LoomWord(AtomicU64::new(0))));
        let other = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                shelf.push(1);
                shelf.pop()
            })
        };
        shelf.push(2);
        let mine = shelf.pop();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() && theirs.is_some() && mine != theirs);
        assert_eq!(shelf.pop(), None);
    });
}

/// Two threads push three nodes and pop one: the stack says that there are two, and at each pop how many are left.
#[test]
fn nodes_are_counted() {
    loom::model(|| {
        let shelf = Arc::new(Shelf::new(3, || LoomWord(AtomicU64::new(0))));
        let push = |shelf: &Shelf<LoomWord>, node| {
            shelf.touch(node);
            shelf.stack.push_counted(node, |node| &shelf.links[node as usize]);
        };
        let other = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || push(&shelf, 1))
        };
        push(&shelf, 2);
        assert!(shelf.pop().is_some());
        push(&shelf, 3);
        other.join().unwrap();
        for left in (0..=2).rev() {
            assert_eq!(shelf.stack.depth(|node| &shelf.links[node as usize]), left);
            assert_eq!(shelf.pop().is_some(), left > 0);
        }
    });
}

/// The ABA schedule: one thread pops while the other takes both nodes and puts the first one back.
fn aba<W: Word + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let shelf = Arc::new(Shelf::new(2, word));
        shelf.push(2);
        shelf.push(1);
        let other = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let first = shelf.pop();
                let second = shelf.pop();
                if let Some(node) = first {
                    shelf.push(node);
                }
                second
            })
        };
        let mine = shelf.pop();
        let kept = other.join().unwrap();
        let left = shelf.pop();
        let last = shelf.pop();
        let mut all: Vec<u64> = [mine, kept, left, last].into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2], "a node was lost or is in two hands");
    });
}

#[test]
fn a_node_that_comes_back_is_recognised() {
    aba(|| LoomWord(AtomicU64::new(0)));
}

/// A word that forgets the tag (bits 40 and up): the stack without its protection.
#[derive(Debug)]
struct Untagged(AtomicU64);

const NODE: u64 = (1 << 40) - 1;

impl Word for Untagged {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
    fn store(&self, value: u64, order: Ordering) {
        self.0.store(value & NODE, order);
    }
    fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old & NODE, new & NODE, success, failure)
    }
}

#[test]
#[should_panic]
fn without_a_tag_it_is_not() {
    aba(|| Untagged(AtomicU64::new(0)));
}
