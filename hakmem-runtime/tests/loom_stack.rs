//! Model of the lock-free stack: several threads push and pop, and nodes come back (ABA). The code under test is the
//! allocator's own, on loom's atomics; the variant without a tag must fail.

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

/// A stack and its nodes, numbered from 1. A node's owner writes to its cell in `owned`, so loom reports two owners as
/// a data race.
struct Nodes<W> {
    stack: TaggedStack<W>,
    links: Vec<W>,
    owned: Vec<UnsafeCell<u32>>,
}

impl<W: Word> Nodes<W> {
    fn new(count: usize, word: impl Fn() -> W) -> Nodes<W> {
        Nodes {
            stack: TaggedStack::new(word()),
            links: (0..=count).map(|_| word()).collect(),
            owned: (0..=count).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    /// Writes to a node as its owner would.
    fn touch(&self, node: u64) {
        // SAFETY: the caller believes that it owns the node, so that nobody else is here. If the protocol is wrong
        // about that, loom reports the race and fails the test.
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

/// Two threads push a node each and pop one. They get different ones, and none is left.
#[test]
fn nodes_have_one_owner() {
    loom::model(|| {
        let nodes = Arc::new(Nodes::new(2, || LoomWord(AtomicU64::new(0))));
        let other = {
            let nodes = Arc::clone(&nodes);
            thread::spawn(move || {
                nodes.push(1);
                nodes.pop()
            })
        };
        nodes.push(2);
        let mine = nodes.pop();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() && theirs.is_some() && mine != theirs);
        assert_eq!(nodes.pop(), None);
    });
}

/// Two threads push three nodes and pop one: the stack says that there are two, and at each pop how many are left.
#[test]
fn nodes_are_counted() {
    loom::model(|| {
        let nodes = Arc::new(Nodes::new(3, || LoomWord(AtomicU64::new(0))));
        let push = |nodes: &Nodes<LoomWord>, node| {
            nodes.touch(node);
            nodes.stack.push_counted(node, |node| &nodes.links[node as usize]);
        };
        let other = {
            let nodes = Arc::clone(&nodes);
            thread::spawn(move || push(&nodes, 1))
        };
        push(&nodes, 2);
        assert!(nodes.pop().is_some());
        push(&nodes, 3);
        other.join().unwrap();
        for left in (0..=2).rev() {
            assert_eq!(nodes.stack.depth(|node| &nodes.links[node as usize]), left);
            assert_eq!(nodes.pop().is_some(), left > 0);
        }
    });
}

/// The ABA schedule: one thread pops while the other takes both nodes and puts the first one back.
fn aba<W: Word + 'static>(word: fn() -> W) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let nodes = Arc::new(Nodes::new(2, word));
        nodes.push(2);
        nodes.push(1);
        let other = {
            let nodes = Arc::clone(&nodes);
            thread::spawn(move || {
                let first = nodes.pop();
                let second = nodes.pop();
                if let Some(node) = first {
                    nodes.push(node);
                }
                second
            })
        };
        let mine = nodes.pop();
        let kept = other.join().unwrap();
        let left = nodes.pop();
        let last = nodes.pop();
        let mut all: Vec<u64> = [mine, kept, left, last].into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2], "a node was lost or has two owners");
    });
}

#[test]
fn a_node_that_comes_back_is_noticed() {
    aba(|| LoomWord(AtomicU64::new(0)));
}

#[test]
#[should_panic(expected = "a node was lost or has two owners")]
fn a_missing_tag_is_caught() {
    aba(|| Untagged(LoomWord(AtomicU64::new(0))));
}
