//! A lock-free stack of slabs (Treiber, with a tag against the ABA problem).
//!
//! Slab metadata is never unmapped and is aligned to 128 bytes in a 47-bit address space, so a node fits in 40 bits and
//! leaves 24 for the tag, which every change increments: a pop goes wrong only if, between its load and its
//! compare-and-swap, exactly a multiple of 2²⁴ changes come by and leave the same slab on top.

use crate::meta::word::Word;
use core::sync::atomic::{AtomicU64, Ordering};

const NODE_BITS: u32 = 40;
const NODE: u64 = (1 << NODE_BITS) - 1;

/// A stack of nodes named by numbers of 40 bits (0 is "none"), each with a link word of its own.
#[derive(Debug, Default)]
pub struct TaggedStack<W = AtomicU64>(W);

/// The stack as the product uses it, of slabs' metadata.
pub type SlabStack = TaggedStack<AtomicU64>;

impl SlabStack {
    /// An empty stack.
    pub const fn empty() -> SlabStack {
        TaggedStack(AtomicU64::new(0))
    }
}

impl<W: Word> TaggedStack<W> {
    /// Wraps a word that holds 0.
    pub fn new(word: W) -> TaggedStack<W> {
        TaggedStack(word)
    }

    /// Whether there was nothing on it a moment ago.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) & NODE == 0
    }

    /// Puts `node`, whose link is `link`, on top. The caller owns the node.
    pub fn push(&self, node: u64, link: &W) {
        self.put(node, link, |_| 0);
    }

    /// As [`push`](TaggedStack::push), and leaves in the node's link, above the node below it, how many nodes there are with it.
    /// `link` finds the link of any node that was ever pushed, and of this one. A stack is counted at every push, or at none.
    pub fn push_counted<'a>(&self, node: u64, link: impl Fn(u64) -> &'a W)
    where
        W: 'a,
    {
        self.put(node, link(node), |old| self.depth_of(old, &link).wrapping_add(1));
    }

    /// Puts `node` on top, with what `depth` says above the word that is there.
    fn put(&self, node: u64, link: &W, depth: impl Fn(u64) -> u64) {
        // Acquire: the link of the top node is to be seen, where nodes are counted.
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            link.store(old & NODE | depth(old) << NODE_BITS, Ordering::Relaxed);
            // Release: whoever pops the node sees its link and all that its owner wrote.
            match self.0.compare_exchange_weak(old, next_tag(old) | node, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return,
                Err(found) => old = found,
            }
        }
    }

    /// How many nodes there were a moment ago on a stack that is counted.
    pub fn depth<'a>(&self, link: impl Fn(u64) -> &'a W) -> u64
    where
        W: 'a,
    {
        self.depth_of(self.0.load(Ordering::Acquire), &link)
    }

    /// What the top node of `word` says. If that has been popped by now it may say anything, and `word` is not the stack's
    /// any more.
    fn depth_of<'a>(&self, word: u64, link: &impl Fn(u64) -> &'a W) -> u64
    where
        W: 'a,
    {
        let node = word & NODE;
        if node == 0 { 0 } else { link(node).load(Ordering::Relaxed) >> NODE_BITS }
    }

    /// Takes the top node off. `link` finds the link of any node that was ever pushed.
    pub fn pop<'a>(&self, link: impl Fn(u64) -> &'a W) -> Option<u64>
    where
        W: 'a,
    {
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            let node = old & NODE;
            if node == 0 {
                return None;
            }
            // The node may have been popped by another thread by now; then what we read here is stale, and the tag
            // makes the exchange fail.
            let below = link(node).load(Ordering::Relaxed) & NODE;
            match self.0.compare_exchange_weak(old, next_tag(old) | below, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(node),
                Err(found) => old = found,
            }
        }
    }
}

/// The word's next tag, with no node.
fn next_tag(word: u64) -> u64 {
    (word & !NODE).wrapping_add(1 << NODE_BITS)
}
